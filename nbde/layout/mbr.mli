(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** MS-DOS partition tables, by the rules of the kernel
    ([block/partitions/msdos.c]). *)

type t =
  | Nothing                     (** nor a FAT filesystem *)
  | Fat                         (** a FAT filesystem without a table *)
  | Partitions of Partition.t list

val read : Block.t -> string -> t Step.t
(** [read block first], where [first] is at least its first sector.  Raises
    {!Unknown.Unknown} where partitions have tables of other systems in them. *)

val seems_partitioned : string -> bool
(** Has this first sector an entry that LVM takes for a partition, even if the
    kernel does not? *)
