(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Find the LUKS devices of a guest. *)

type seen
(** Devices that have been looked at. *)

val nothing : seen

val scan :
  Guestfs.guestfs -> Headers.t -> opened:string list ->
  seen -> Types.device list * Types.refused list * seen
(** Look at every block device that was not seen before, as {!Headers.read} does:
    those that are LUKS.  [opened] are the names that LUKS devices were opened by,
    the newest first. *)

val was_seen : seen -> string -> bool

val in_order : seen -> string list
(** All block devices that may be LUKS, as they were listed last: in the order
    of {!Types.kind}; within a kind as libguestfs lists them. *)
