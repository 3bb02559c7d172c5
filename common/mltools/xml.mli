(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** XML to be written, by xmlm. *)

type tree =
  | Element of string * (string * string) list * tree list
      (** name, attributes, children *)
  | Text of string

val document : tree -> string
(** With this root, indented; text is not changed but for what XML cannot hold, which
    {!Escape} writes out. *)
