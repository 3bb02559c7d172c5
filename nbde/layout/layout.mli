(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The block devices of a guest, found on the host: what the appliance would
    list, or what of it is not known.

{v
   disks
    │  Partition_table         Gpt, Mbr: what the kernel makes of each
    ▼
   disks without a table, partitions
    │  Md                      one RAID1 of them, and its partitions
    ▼
   everything that is not in an array, and what was opened
    │  Lvm_label, Lvm          physical to logical volumes
    ▼
   devices
v}

    Each step asks for the bytes that it needs: see {!Step}. *)

(** As {!Types.kind} has them. *)
type kind =
  | Whole_disk                  (** without partitions *)
  | Partition
  | Md_array                    (** without partitions *)
  | Logical_volume
  | Mapped                      (** an open LUKS device *)

(** What the first bytes of a device say. *)
type contents =
  | Luks
  | Physical_volume
  | Md_member
  | Missing
      (** its volume group lacks a physical volume: the appliance lists it, but
          does not activate it *)
  | Other

type device = { block : Block.t; kind : kind; contents : contents }

(** What is not known: a device or a volume group, and why.  Where there is one
    of these, there may be other devices, or other names. *)
type unknown = { where : string; reason : string }

type t

val devices : t -> device list
(** In the order of {!kind}, and in that of the appliance within. *)

val unknown : t -> unknown list
(** If this is empty, {!devices} are those of the appliance. *)

(** A disk, as the appliance gets it. *)
type disk = { size : int64; sector_size : int }

val scan : disk list -> t Step.t
(** The devices on these disks. *)

(** A LUKS device that was opened: its name, [/dev/mapper/...], and the bytes
    that are in it. *)
type opened = { name : string; size : int64 }

val with_opened : t -> opened list -> t Step.t
(** The devices, when these (all that are open by now, in any order) are there
    as well: physical volumes may be in them. *)

val most_disks : int
