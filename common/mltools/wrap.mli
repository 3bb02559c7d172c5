(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Text broken into lines. *)

val lines : width:int -> string -> string list
(** Break at spaces so that no line is longer than [width] columns; a word that
    is longer stands on a line of its own. *)

val paragraph : width:int -> indent:int -> first:int -> string -> string
(** The same as one string, where the first line begins in column [first] and
    the others are indented by [indent] spaces. *)
