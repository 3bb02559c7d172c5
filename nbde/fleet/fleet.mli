(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** virt-nbde-fleet: the steps in order. *)
