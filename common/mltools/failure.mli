(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What went wrong, in the words of the user, for modules that know no better
    exception.  Only the main program prints it. *)

exception Error of { message : string; hint : string option }
(** [message] is one line that says what failed and where, [hint] what to
    try. *)

val error : ?hint:string -> ('a, unit, string, 'b) format4 -> 'a
(** Raises {!Error}. *)
