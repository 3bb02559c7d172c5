(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The report for programs, as [docs/virt-nbde-fleet-report.schema.json] has
    it. *)

val json : Summary.t -> Json.t
