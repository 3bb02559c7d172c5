(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** RAID1 of the kernel: MD superblocks 0.90, 1.0, 1.1 and 1.2, and the array
    that its members make.

    Sources: [include/uapi/linux/raid/md_p.h], mdadm(8), md(4). *)

type member

val member : Block.t -> string -> member option Step.t
(** [member block first], where [first] are the first {!Partition_table.head}
    bytes: its superblock, if it has one.  Raises {!Unknown.Unknown} if it has
    another one than that of an undisturbed RAID1, or that of a RAID which
    firmware knows. *)

val block : member -> Block.t
(** The device that it was found on. *)

val superblock_offset : member -> int

val same_array : member -> member -> bool
(** Do they have the same UUID? *)

val assemble : member list -> Block.t
(** The array of these members, by the name that mdadm gives it in the appliance
    if it is the only one.  It may be degraded, as far as it knows that itself.
    The bytes are those of its first member that is in step.  Raises
    {!Unknown.Unknown} where members are missing that should be there or
    contradict each other, and where the name depends on how the appliance is
    called. *)
