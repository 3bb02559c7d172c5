(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Times of records, in seconds since 1970. *)

val of_rfc3339 : string -> float option
(** Of [2026-11-28T17:30:00Z], which is how programs write it. *)

val rfc3339 : float -> string

val text : float -> string
(** For people, in UTC, to the minute. *)
