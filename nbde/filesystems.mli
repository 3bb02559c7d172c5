(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Which filesystems of a guest belong where, for [--mount]. *)

type place = {
  device : string;              (** or other mountable of libguestfs *)
  mountpoint : string;          (** in the guest *)
  options : string option;
  fstype : string option;
  optional : bool;              (** the guest itself does without it *)
}

val by_hand : string -> place
(** [DEV[:MOUNTPOINT[:OPTIONS[:FSTYPE]]]]. Raises {!Options.Invalid}. *)

val of_guest : Guestfs.guestfs -> Types.findings -> place list
(** What the guest's own configuration says, the name of an opened LUKS device
    being the one that its [/etc/crypttab] gives it.  Raises
    [Appliance.Error] if there is not exactly one operating system. *)

val mount : Guestfs.guestfs -> writable:bool -> place list -> unit
(** In the appliance: all or none, outer ones first.  Raises
    [Appliance.Error]. *)

val crypttab_source : string list -> string -> string option
(** [crypttab_source lines name]: the device that these lines of a crypttab(5)
    call [name]. *)
