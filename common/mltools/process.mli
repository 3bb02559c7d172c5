(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** This process and others. *)

val open_standard_files : unit -> unit
(** Open [/dev/null] as each of standard input, output and error that the caller
    has closed, so that no other file takes its number and gets what is meant
    for it. *)

val number : Unix.file_descr -> int
(** The number of this descriptor. *)

val descriptor : int -> Unix.file_descr
(** The descriptor with this number; it need not be open. *)

val with_variable : string -> string -> (unit -> 'a) -> 'a
(** Call a function with an environment variable set to a value, for the programs
    that it starts, and give the variable back what it had.  No other thread may
    look at the environment at the beginning and the end of that. *)

val again : (unit -> 'a) -> 'a
(** Call a function until no signal interrupts it. *)

val wait : int -> Unix.process_status
(** Wait for the end of a child, whatever signals come. *)

val succeeds : ?stdin:Unix.file_descr -> string -> string list -> bool
(** Run a program with these arguments, its name not among them, without output
    and with no input but [stdin], and wait for its end: did it exit with 0?
    [false] also if there is no such program. *)
