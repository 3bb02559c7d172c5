(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** GUID partition tables, by the rules of the kernel
    ([block/partitions/efi.c]): a protective MBR is needed, and the primary
    header wins.  The kernel does not use the backup by itself. *)

val read : Block.t -> string -> Partition.t list option Step.t
(** [read block first], where [first] is at least its first sector.  [None]: it
    has no protective MBR. {!Unknown.Unknown}: it has one, but the primary table
    is not whole, or the table has what is not understood.

    Source: UEFI specification, chapter 5. *)
