(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** How the HTML report looks. *)

val css : string
(** Light and dark, on paper, and from 320 pixels on.  It loads nothing. *)
