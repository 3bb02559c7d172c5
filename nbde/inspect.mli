(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [--inspect]: which operating systems are inside, and what is where. *)

type filesystem = {
  mountpoint : string option;   (** [None] where no operating system says *)
  device : string;
  fstype : string;
  size : int64 option;          (** bytes of the block device *)
}

(** What libguestfs does not know is [None]. *)
type operating_system = {
  root : string;                (** device of the root filesystem *)
  product : string option;
  version : string option;      (** [MAJOR.MINOR] *)
  arch : string option;
  distro : string option;
  hostname : string option;
  package_format : string option;
  filesystems : filesystem list;
}

type t = {
  systems : operating_system list;
  loose : filesystem list;
      (** all filesystems, if no operating system was found *)
}

val gather : Guestfs.guestfs -> partial:bool -> t
(** [partial]: some device is closed, so it is no error if libguestfs cannot
    make sense of the others. Inspect what is open now. *)

val lines : t -> Types.findings -> string list
(** For people: the systems, then the LUKS devices. *)
