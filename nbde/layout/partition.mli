(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A partition, as the kernel makes it. *)

type t = { number : int; start : int; length : int }
(** Bytes. *)

val most : int
(** Partitions of a device have numbers below this one. *)

val make : Block.t -> number:int -> start:int -> length:int -> t option
(** None if it has no length or begins after the end of the device; one that
    ends after it is cut, as by the kernel ([block/partitions/core.c]). *)

val block : Block.t -> t -> Block.t
(** The partition as a block device. *)
