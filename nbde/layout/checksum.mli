(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Checksums of structures on a disk. *)

val crc32 : string -> int
(** As GPT has it: that of Ethernet (ISO 3309). *)

val lvm : ?initial:int -> string -> int
(** That of LVM2: the same polynomial from another start, without the last
    complement.  [initial]: the checksum of what comes before. *)

val sum32 : string -> int
(** That of MD superblocks: the sum of little-endian words of 32 bits (and a
    last one of 16), with the carry added once. *)
