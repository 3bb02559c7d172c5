(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Give libguestfs the disks of a guest.

    libguestfs tells qemu no format for what a guest sees of a read-only disk, so
    that qemu looks at the guest's bytes to find one, and follows what they say.
    So no disk is ever added read-only: libguestfs gets an overlay of our own,
    whose format is known and below which every file and format is named (see
    {!Overlay}), or, to be written to, the disk itself with its format. *)

val by_libvirt : Guestfs.guestfs -> bool
(** Is the appliance started by libvirt? *)

val check : writable:bool -> Types.guest -> unit
(** What can be told without reading: are there such files, may they be read, is
    the format one that is known?  Raises {!Failure.Error}. *)

val check_file : ?writable:bool -> string -> unit
(** Is it a file or block device that can be read (and written), and not empty?
    Raises {!Failure.Error}. *)

val add :
  Guestfs.guestfs -> folder:string -> writable:bool -> Types.guest -> unit
(** Overlays are made in the folder.  Raises {!Failure.Error} if a disk cannot be
    read or refers to something that is not followed. *)
