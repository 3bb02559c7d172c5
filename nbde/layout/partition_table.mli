(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The partitions of a disk or of an MD array. *)

val head : int
(** The bytes at the beginning of a device that tables and signatures are looked
    for in. *)

val read : Block.t -> string -> Partition.t list Step.t
(** [read block first], where [first] are the first {!head} bytes: what the
    kernel makes of its partition table, in the order of their numbers; none if
    it has none.  Raises {!Unknown.Unknown} for tables that only some kernels
    know. *)
