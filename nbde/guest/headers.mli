(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The LUKS headers of block devices: what is read from which device, and what
    is no LUKS device though it looks like one. *)

type t
(** All that were loaded, and where those are that are detached. *)

val make : detached:(string * string) list -> t
(** None are loaded yet.  [detached]: devices, and the file of this host that has
    the header of each. *)

val detached : t -> (string * string) list

val release : t -> unit
(** {!Clevis.Luks.release} all that were loaded, also those that nobody was told
    of. *)

(** What a block device is. *)
type found =
  | Luks of Types.device
  | Refused of Types.refused    (** LUKS, by a header that cannot be used *)
  | Physical_volume             (** of LVM *)
  | Other

val read : Guestfs.guestfs -> t -> Types.kind * string -> found
(** Look at a device.  A header that is damaged or refused, or a device that
    cannot be read, is a warning.  Raises [Guestfs.Error] if the appliance does
    not answer any more, {!Failure.Error} if there is no header in the file that
    is to have it. *)
