(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Lines of text on standard output. *)

val width : int
(** Of a line, where names and addresses allow. *)

val indent : int -> string -> string

val blocks : string list list -> string list
(** All lines of these blocks, with an empty one between two of them. *)
