(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What went wrong, in the words of the user.  Only the main program prints it,
    and ends. *)

exception Error of { message : string; hint : string option; status : int }
(** [message] is one line that says what failed and where, [hint] what to try,
    [status] the exit status of the program. *)

val error : ?hint:string -> ?status:int -> ('a, unit, string, 'b) format4 -> 'a
(** Raises {!Error}; the status is 1 if it is not given. *)

val of_code : ?hint:string -> string -> Unix.error -> 'a
(** [of_code name code] raises {!Error}: what the system says of a file. *)

val within : (string -> string) -> (unit -> 'a) -> 'a
(** Call a function; an {!Error} that it raises gets this message, made of its
    own one. *)

val status : exn -> int
(** The exit status after this exception. *)
