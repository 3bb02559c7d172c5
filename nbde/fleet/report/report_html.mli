(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The report as one HTML page, which runs no script and loads nothing. *)

val document : Summary.t -> string
