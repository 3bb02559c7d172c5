(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The block devices of the appliance that may be LUKS, each with its kind.  The
    appliance is asked as little as can be: each question takes longer than what
    is done with the answer. *)

type hardware
(** Those that are there without LVM and without an open LUKS device. *)

val hardware : Guestfs.guestfs -> hardware option -> hardware
(** What there is now, if it was this the last time. *)

val of_hardware : hardware -> (Types.kind * string) list
(** Disks without a partition table, partitions, MD arrays. *)

val mapped : string list -> (Types.kind * string) list
(** LUKS devices that were opened by these names. *)

val logical_volumes :
  Guestfs.guestfs -> rescan:bool -> (Types.kind * string) list
(** [rescan]: physical volumes may have come since LVM looked. *)

val rescan : Guestfs.guestfs -> unit
(** Have LVM look for physical volumes that have come. *)
