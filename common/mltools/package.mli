(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The name and version of this package, as configure was told. *)

val name : string
(** ["virt-nbde-unlock"]; also the name of the program. *)

val version : string
