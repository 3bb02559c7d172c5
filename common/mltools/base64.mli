(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Bytes as text, for XML and JSON (RFC 4648, section 4).  Not for keys, which
    are no OCaml strings. *)

val encode : string -> string
(** On one line, with padding. *)
