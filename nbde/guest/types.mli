(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What the steps hand to each other.

{v
   argv
    │  options/ Cmdline        one record of the settings of all stages
    ▼
   guest
    │  guest/   Drives         which files and servers the disks are
    ▼
   disks
    │  guest/   Host           reads them: Layout, and the vault for
    ▼                          what is inside of LUKS
   block devices
    │  guest/   Discover       which of them are LUKS: Headers    ◀─┐
    ▼                                                               │ again,
   device list, refused list                                        │ after
    │  unlock/  Unlock.on_host asks (Clevis.Exchange, by the        │ something
    │                          policy of Servers), and decrypts     │ was opened
    ▼                                                               │
   outcome list ────────────────────────────────────────────────────┘
    │
    ▼
   Unlock.known: the outcomes, or doubt
    │  only if there is doubt, or what is asked for needs it:
    │  guest/   Appliance      launches; Drives adds the disks
    │  unlock/  Unlock.in_appliance
    │                          Opening opens what was recovered,
    │                          with Given_keys what has no binding;
    │                          Block_devices and Discover search for
    ▼                          what is not known, as above
   findings
    ├──▶ unlock/ Preflight     --preflight
    │            Export        --export-requests
    ├──▶ guest/  Inspect       --inspect: asks what is inside
    ├──▶ show/   Listing       --list
    │            Report        --check, errors, exit status
    │            Inspect_text, Inspect_xml
    │            Json_document
    └──▶ give/   Keyfile       --output-keys
                 Handover      --run
                 Mount         --mount; Filesystems says what is where
v}

    Each step uses only what comes from above. *)

(** Where a disk is. *)
type source =
  | File of string
  | Remote of {
      protocol : string;        (** as libguestfs names it: ["nbd"], ["ssh"] *)
      server : string;   (** ["HOST"], ["HOST:PORT"], ["unix:PATH"] *)
      username : string option;
      password : string option;
      path : string;            (** or name of the export *)
    }

(** A disk on the command line. *)
type disk = {
  source : source;
  format : string option;       (** [None]: it is found out *)
  blocksize : int option;       (** bytes of a sector *)
}

(** A guest of libvirt. *)
type domain = {
  name : string;                (** or UUID *)
  uri : string option;          (** of the connection; [None]: the default *)
}

(** What is to be opened. *)
type guest =
  | Disks of disk list
  | Domain of domain

(** Kinds of block devices, in the order in which they are searched. *)
type kind =
  | Whole_disk                  (** without a partition table *)
  | Partition                   (** of a disk or of an MD array *)
  | Md_array                    (** without a partition table *)
  | Logical_volume
  | Mapped                      (** what was opened: LUKS inside LUKS *)

(** A LUKS device. *)
type device = {
  name : string;                (** as the appliance names it: [/dev/sda2] *)
  kind : kind;
  size : int64;                 (** bytes *)
  luks : Clevis.Luks.t;
  info : Clevis.Luks.info;
  detached : string option;     (** file on this host that has its header *)
}

(** A device whose LUKS header is damaged or was refused. *)
type refused = {
  name : string;
  kind : kind;
  error : Clevis.error;
}

(** What opened a device, if it was not a key from our own exchange. *)
type opener =
  | Given_key of Clevis.Key.t   (** of the user *)
  | Clevis_in_appliance

(** What became of a device. *)
type state =
  | Untried                     (** only looked at *)
  | Unbound                     (** no Clevis binding: left closed *)
  | Failed of Clevis.error list (** the first decides, see {!Clevis.Exchange} *)
  | Recovered of Clevis.Exchange.unlocked
      (** the key is there, opening was not wanted *)
  | Opened of { unlocked : Clevis.Exchange.unlocked; mapname : string }
  | Not_opened of {
      unlocked : Clevis.Exchange.unlocked;
      reason : string;
      hint : string option;
    } (** the key is right, and still libguestfs failed *)
  | Opened_otherwise of { opener : opener; mapname : string }
  | Failed_in_appliance of { reason : string }
      (** clevis in the appliance failed *)
  | Wrong_key of { reason : string; binding : Clevis.error list }
      (** no key of the user fits; [binding]: as in [Failed], if there is
          one *)

type outcome = {
  device : device;
  state : state;
}

type findings = {
  outcomes : outcome list;      (** in the order of {!kind}, then by name *)
  refused : refused list;
  sizes : (string * int64) list;
      (** bytes of block devices, by name, as far as they are known *)
}

val is_bound : device -> bool
(** Has it a Clevis binding, good or bad? *)

val mapname : outcome -> string option
(** The name under [/dev/mapper] by which it was opened, if it was. *)

val unlocked : outcome -> Clevis.Exchange.unlocked option
(** The key and how it was recovered, whether or not the device was opened. *)

val key : outcome -> Clevis.Key.t option
(** The key that opens it, recovered or given. *)

val error : Clevis.code -> string -> ?hint:string -> string -> Clevis.error
(** [error code name message], of the device with this name. *)

val plain_error : device -> ?hint:string -> string -> Clevis.error
(** A failure of which nothing is known but the device and the cause. *)

val is_uuid : string -> bool
(** A header may have any text in the place of its UUID. *)
