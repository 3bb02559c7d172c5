(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Block devices, read in the appliance. *)

val make : Guestfs.guestfs -> Headers.reads
(** They raise [Guestfs.Error] if the appliance does not answer any more. *)
