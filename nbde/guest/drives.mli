(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The disks of a guest: what is opened, and given to libguestfs.

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

type t
(** Disks whose files and formats are decided. *)

val find : writable:bool -> Types.guest -> t
(** Look at the disks, once: at their first bytes, what they refer to, and what
    libvirt says of a domain.  Raises {!Failure.Error} if a disk cannot be read or
    refers to something that is not followed. *)

val add : Guestfs.guestfs -> folder:string -> writable:bool -> t -> unit
(** Overlays are made in the folder.  Raises {!Failure.Error}. *)

(** A disk that is read without the appliance. *)
type reading = {
  reader : Reader.t;
  sector_size : int;            (** bytes *)
}

exception Unsure of string
(** Here that cannot be known, or not safely: why.  The appliance can. *)

val unsure : ('a, unit, string, 'b) format4 -> 'a
(** Raises {!Unsure}. *)

val open_here : t -> reading list
(** In order; {!close} closes them.  Raises {!Unsure}, {!Signals.Interrupted}. *)

val close : reading list -> unit
