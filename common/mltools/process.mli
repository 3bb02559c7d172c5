(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Other processes. *)

val again : (unit -> 'a) -> 'a
(** Call a function until no signal interrupts it. *)

val wait : int -> Unix.process_status
(** Wait for the end of a child, whatever signals come. *)

val succeeds : string -> string list -> bool
(** Run a program with these arguments, its name not among them, without input
    and output, and wait for its end: did it exit with 0?  [false] also if
    there is no such program. *)
