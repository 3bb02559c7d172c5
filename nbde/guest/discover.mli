(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Find the LUKS devices of a guest. *)

type seen
(** Devices that have been looked at. *)

val nothing : seen

type headers
(** All that were read, and where those are that are detached. *)

val headers : (string * string) list -> headers
(** None were read yet.  With devices whose header is detached, and the file that
    has it. *)

val detached : headers -> (string * string) list

val release : headers -> unit
(** {!Clevis.Luks.release} all that were read, also those that nobody was told
    of. *)

val scan :
  Guestfs.guestfs -> headers -> opened:string list ->
  seen -> Types.device list * Types.refused list * seen
(** Look at every block device that was not seen before, and read the headers
    of those that are LUKS.  A header that is damaged or refused, or a device
    that cannot be read, is a warning, and the search goes on.  [opened] are the
    names that LUKS devices were opened by, the newest first.
    Raises [Guestfs.Error] if the appliance does not answer any more,
    {!Failure.Error} if there is no header in such a file. *)

val was_seen : seen -> string -> bool

val in_order : seen -> string list
(** All block devices that may be LUKS, as they were listed last: in the order
    of {!Types.kind}; within a kind as libguestfs lists them. *)
