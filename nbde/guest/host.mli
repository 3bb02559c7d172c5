(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The block devices of a guest, read on this host: its disks by {!Reader}, what
    is on them by {!Layout}, what is inside of LUKS devices by the vault, which
    decrypts it.

    Whatever cannot be told for certain is left to the appliance, which is always
    right: all functions here raise [Drives.Unsure] then, with the reason. *)

type t

val make : Drives.t -> t
(** Open the disks. *)

val close : t -> unit
(** Close them, once or more often. *)

val devices : t -> Layout.device list
(** All that are there now: what was unlocked since the last call is looked at. *)

val reads : t -> Headers.reads
(** How these devices are read. *)

val unlock :
  t -> Types.device -> mapname:string -> key:Clevis.Key.t -> keyslot:int -> unit
(** From now on, what is inside of the LUKS device is [/dev/mapper/MAPNAME].  The
    key was verified against the keyslot. *)
