(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [--list]: what the LUKS headers say. *)

val refused_line : Types.refused -> string
(** One line of a device whose header cannot be used. *)

val lines : Types.findings -> string list
(** For people, made for 80 columns. *)
