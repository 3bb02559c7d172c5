(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A block device, and where its bytes are.

    All sizes and offsets are bytes.  They are numbers of OCaml, which have 63
    bits: no disk is larger than {!Field.far}. *)

(** Who has bytes. *)
type source =
  | Disk of int                 (** the disks of the guest, from 0 *)
  | Opened of string            (** an open LUKS device: its name *)

type extent = { source : source; offset : int; length : int }

type t = {
  name : string;                (** as the appliance has it: [/dev/sda2] *)
  size : int;
  sector_size : int;            (** of its disk: 512 or 4096 *)
  extents : extent list;
      (** from its first byte to its last; none if it cannot be read *)
}

val whole : source -> name:string -> size:int -> sector_size:int -> t

val part : t -> offset:int -> length:int -> extent list
(** Where a part of it is.  Raises {!Unknown.Unknown} if the device ends
    before. *)

val is_complete : t -> bool
(** Is there an extent for each of its bytes? *)

val disk_name : int -> string
(** [/dev/sda], ..., [/dev/sdz], [/dev/sdaa], ...: disks on virtio-scsi, in the
    order in which they were added. *)
