(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [--inspect] for people. *)

val lines : Inspect.t -> Types.findings -> string list
(** The systems, then the LUKS devices. *)
