(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Find the LUKS devices of a guest. *)

type seen
(** Devices that have been looked at. *)

val nothing : seen

val scan :
  Guestfs.guestfs -> headers:(string * string) list -> opened:string list ->
  seen -> Types.device list * Types.refused list * seen
(** Look at every block device that was not seen before, and read the headers
    of those that are LUKS.  A header that is damaged or refused, or a device
    that cannot be read, is a warning, and the search goes on.  [headers] are
    devices whose header is detached, with the file that has it; [opened] the
    names that LUKS devices were opened by, the newest first.
    Raises [Guestfs.Error] if the appliance does not answer any more,
    [Appliance.Error] if there is no header in such a file. *)

val was_seen : seen -> string -> bool

val in_order : seen -> string list
(** All block devices that may be LUKS, as they were listed last: in the order
    of {!Types.kind}; within a kind as libguestfs lists them. *)
