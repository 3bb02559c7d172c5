(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [--preflight] for people. *)

val lines : Preflight.t -> string list
(** A paragraph for each device, at most 80 columns wide where names allow. *)
