(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What the test programs need: checks that print what was expected, and an
    exit status at the end. *)

val equal : string -> ('a -> string) -> 'a -> 'a -> unit
(** [equal name show expected found] *)

val text : string -> string -> string -> unit
(** {!equal} for strings. *)

val number : string -> int -> int -> unit

val is_true : string -> bool -> unit

val raises : string -> (exn -> bool) -> (unit -> 'a) -> unit
(** The function raises an exception of which this holds. *)

val fails : string -> (unit -> 'a) -> unit
(** The function raises {!Failure.Error}. *)

val refuses : string -> string -> (unit -> 'a) -> unit
(** [refuses name message f]: it raises {!Options.Error} with this message. *)

val list : ('a -> string) -> 'a list -> string
(** To show a list. *)

val read_file : string -> string
val write_file : string -> string -> unit
(** [write_file name text]: a new file, or in place of the one that is there. *)

val contains : string -> string -> bool
(** [contains text part] *)

val in_folder : (string -> 'a) -> 'a
(** Run a function in a new folder, whose name it gets, and remove that. *)

val finish : unit -> unit
(** End the program: 0 if all checks held, 1 otherwise. *)
