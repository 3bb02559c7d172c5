(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Which filesystems of a guest belong where. *)

type place = {
  device : string;              (** or other mountable of libguestfs *)
  mountpoint : string;          (** in the guest *)
  options : string option;
  fstype : string option;
  optional : bool;              (** the guest itself does without it *)
}

val by_hand : string -> place
(** [DEV[:MOUNTPOINT[:OPTIONS[:FSTYPE]]]]. Raises {!Options.Invalid}. *)

val all : Guestfs.guestfs -> (string * string) list
(** All filesystems and swap, by device, with their types: what is neither a
    part of LUKS or LVM nor unknown. *)

val places : Guestfs.guestfs -> Types.findings -> string -> place list
(** What the configuration of the operating system with this root says, the name
    of an opened LUKS device being the one that its [/etc/crypttab] gives it.
    Nothing may be mounted, and nothing is mounted afterwards. *)

val of_guest : Guestfs.guestfs -> Types.findings -> place list
(** {!places} of the only operating system.  Raises {!Failure.Error} if there
    is not exactly one. *)

val mount : Guestfs.guestfs -> writable:bool -> place list -> unit
(** In the appliance: all or none, outer ones first.  Raises
    {!Failure.Error}. *)

val mount_what_can_be : Guestfs.guestfs -> place list -> unit
(** For reading.  What cannot be mounted is a warning. *)

val crypttab_source : string list -> string -> string option
(** [crypttab_source lines name]: the device that these lines of a crypttab(5)
    call [name]. *)
