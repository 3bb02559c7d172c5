(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Find the LUKS devices of a guest, in the appliance or on this host. *)

type seen
(** Devices that have been looked at. *)

val nothing : seen

(** What there is that was not seen before. *)
type found = {
  devices : Types.device list;
  refused : Types.refused list;
  new_volumes : bool;
      (** are there physical volumes of LVM in what was opened? *)
  seen : seen;                  (** now *)
}

val in_appliance :
  Guestfs.guestfs -> Headers.t -> opened:string list -> seen -> found
(** Look at every block device that was not seen before, as {!Headers.read} does.
    [opened] are the names that LUKS devices were opened by, the newest first.
    LVM knows the new volumes then. *)

val on_host : Host.t -> Headers.t -> seen -> found
(** The same, without the appliance.  Raises [Drives.Unsure]. *)

val was_seen : seen -> string -> bool

val say_unreadable : seen -> unit
(** Warn about devices that cannot be read.  Not before all is found: a logical
    volume may be there only when a LUKS device was opened. *)

val in_order : seen -> string list
(** All block devices that may be LUKS, as they were listed last: in the order
    of {!Types.kind}; within a kind as libguestfs lists them. *)

val sizes : seen -> (string * int64) list
(** Bytes of those of them that were read on this host. *)
