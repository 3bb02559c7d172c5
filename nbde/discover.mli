(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Find the LUKS devices of a guest. *)

type seen
(** Devices that have been looked at. *)

val nothing : seen

val scan :
  Guestfs.guestfs -> seen -> Types.device list * Types.refused list * seen
(** Look at every block device that was not seen before, and read the headers
    of those that are LUKS.  A header that is damaged or refused, or a device
    that cannot be read, is a warning, and the search goes on.
    Raises [Guestfs.Error] if the appliance does not answer any more. *)

val names : Guestfs.guestfs -> string list
(** All block devices that may be LUKS, in the order of {!Types.kind}; within a
    kind as libguestfs lists them. *)
