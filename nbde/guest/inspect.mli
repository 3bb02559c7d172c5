(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [--inspect]: which operating systems are inside, and what is where. *)

type filesystem = {
  mountpoint : string option;   (** [None] where no operating system says *)
  device : string;              (** its name in the appliance *)
  inspected_as : string;        (** the same, or what libguestfs has in its place:
                                    a name that only the guest's crypttab knows *)
  fstype : string option;       (** [None]: not known *)
  size : int64 option;          (** bytes of the block device *)
  label : string option;        (** these two: only with [details] *)
  uuid : string option;
}

(** What libguestfs does not know is [None], and so is, without [details], what
    is only for programs.  Names are those of libguestfs: see
    [guestfs_inspect_get_arch] and the like in guestfs(3). *)
type operating_system = {
  root : string;                (** device of the root filesystem *)
  kind : string option;         (** ["linux"], ["windows"], ...; this, the
                                    variant, the management of packages, osinfo
                                    and what is of Windows: only with
                                    [details] *)
  arch : string option;
  distro : string option;
  product : string option;
  product_variant : string option;
  major : int;                  (** 0 and 0 if the version is not known *)
  minor : int;
  package_format : string option;
  package_management : string option;
  windows_systemroot : string option;
  windows_current_control_set : string option;
  hostname : string option;
  osinfo : string option;       (** short ID of libosinfo *)
  filesystems : filesystem list;
      (** what it mounts, by mountpoint *)
  volumes : filesystem list;
      (** all that belong to it, by device, also those that it does not
          mount: swap; only with [details] *)
  drive_mappings : (string * string) list;
      (** of Windows: ["C"] and the device *)
  applications : Guestfs.application2 list option;
      (** [None]: not asked for *)
  icon : string option;         (** a PNG file *)
}

type t = {
  systems : operating_system list;
  loose : filesystem list;
      (** all filesystems, if no operating system was found *)
}

(** Each of these takes further calls to the appliance. *)
type wanted = {
  details : bool;               (** for programs *)
  applications : bool;
  icon : bool;
}

val gather :
  Guestfs.guestfs -> Types.findings -> wanted -> partial:bool -> t
(** [partial]: some device is closed, so it is no error if libguestfs cannot
    make sense of the others. Inspect what is open now. *)

val version : operating_system -> string option
(** [MAJOR.MINOR] *)
