(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The disks of a guest that libvirt knows. *)

type t = {
  disks : Types.disk list;
  settings : (string * string) list;
      (** settings for a backend of libguestfs that runs qemu by libvirt: with
          the security label of a guest that runs, its disks can be read *)
}

val find : writable:bool -> Types.domain -> t
(** Ask libvirt, by a read-only connection.  CD-ROMs, floppy disks and what else
    the guest may only read are left out.  A guest that runs is not [writable].
    Raises {!Failure.Error}. *)

val in_domain : Types.domain -> string -> string
(** A message about the disks of a domain, with its name and, if one was given,
    the URI. *)

val parse : path_of_volume:(pool:string -> string -> string) -> string -> t
(** Of the XML of a domain, see libvirt.org/formatdomain.html.  A disk without a
    format is raw, as it is for libvirt.  Raises {!Failure.Error} if a disk is
    of a kind that cannot be read. *)
