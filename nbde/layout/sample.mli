(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** For tests: partition tables, MD superblocks and LVM2 metadata, written by
    hand, so that each of their numbers can be wrong. *)

val kib : int
val mib : int

val luks : string
(** What LUKS2 begins with. *)

(** {2 Partition tables} *)

(** In sectors. *)
type entry = { kind : int; start : int; sectors : int }

val set_entries : ?at:int -> Trial.disk -> entry list -> unit
(** The first entries of an MBR, or of a link of logical partitions [at] an
    offset. *)

val set_gpt : Trial.disk -> entry list -> unit
(** A GPT of partitions, whose kind does not matter, and its backup. *)

val repair_gpt : Trial.disk -> int -> unit
(** Make the checksums right of the header at this offset. *)

(** {2 MD} *)

(** What a superblock says; sizes in sectors. *)
type superblock = {
  uuid : string;                (** 16 bytes *)
  name : string;
  level : int;
  raid_disks : int;
  features : int;
  size : int;
  data_offset : int;
  data_size : int;
  number : int;
  flags : int;
  events : int;
  roles : int list;
}

val superblock : superblock
(** Of the first of two members of a RAID1. *)

val write_1 : Trial.disk -> int -> superblock -> unit
(** Version 1, at this offset. *)

val write_0 : Trial.disk -> int -> superblock -> unit
(** Version 0.90, at this offset. *)

val repair_1 : Trial.disk -> int -> unit
val repair_0 : Trial.disk -> int -> unit
(** Make the checksum of the superblock at this offset right. *)

(** {2 LVM2}

    Physical volumes have 4 MiB, extents 64 KiB. *)

val pv_size : int

val label_at : int
(** Where the label is. *)

val area_at : int
(** The metadata area. *)

val area_size : int

val data_at : int
(** The first extent. *)

val uuid : string -> string
(** The UUID that a physical volume of this name has. *)

val write_label : Trial.disk -> string -> unit
(** [write_label disk name] *)

val write_text : ?offset:int -> Trial.disk -> string -> unit
(** The metadata area, and the text in it, [offset] bytes after its
    beginning. *)

val sum : Trial.disk -> int -> int -> int
(** [sum disk offset length] *)

val repair_label : Trial.disk -> unit
val repair_area : Trial.disk -> unit

type segment = { pv : string; from : int; count : int }

(** [status] and [flags] as they stand in the text. *)
type lv = {
  name : string;
  status : string;
  flags : string;
  segments : segment list;
}

val lv : ?status:string -> ?flags:string -> string -> segment list -> lv
(** By default a volume like any other. *)

val visible : string
(** The default [status]. *)

val group :
  ?name:string -> ?extra:string -> pvs:string list -> lv list -> string
(** The text of a volume group, [vg] by default; [extra]: more lines of it. *)
