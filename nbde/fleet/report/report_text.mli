(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The report for people, on a terminal. *)

val lines : width:int -> Summary.t -> string list
(** Escaped.  Names, URLs and keys that are longer than a line are not broken. *)
