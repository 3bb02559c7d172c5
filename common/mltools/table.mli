(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Columns of text on standard output. *)

val lines : ?indent:int -> string list list -> string list
(** One line for each row, its cells escaped by {!Escape.text} and set under
    each other, two spaces apart. *)
