(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** From LUKS devices to keys and open devices. *)

(** How far to go. *)
type depth =
  | Look                        (** find the devices; ask no server *)
  | Recover                     (** recover and verify keys; open nothing *)
  | Open of { quick : bool; all : bool }
      (** open the devices, and look again for what that has brought to light,
          until nothing new appears.  [quick]: with the quick header (see
          {!Clevis.Luks.quicken}), for disks whose writes go to an overlay.
          [all]: a device that libguestfs cannot open, since its header is
          detached, is a failure although its key is there. *)

(** Where the exchange is made. *)
type place =
  | On_host                     (** this program *)
  | In_appliance                (** clevis *)

type plan = {
  depth : depth;
  policy : Clevis.Policy.t;     (** of [On_host] *)
  place : place;                (** of [Open] *)
  given_keys : Given_keys.t;    (** for what no binding opens *)
  may_restart : bool;           (** was the memory of the appliance left to
                                    us? *)
  headers : Headers.t;          (** the caller releases them *)
}

val check_plan : plan -> unit
(** Raises {!Failure.Error} if it asks for what this program has not, before
    time is spent on a launch. *)

val run : Guestfs.guestfs -> plan -> Types.findings
(** Raises [Appliance.Too_small] if the appliance must be started with more
    memory, and that may be done.

    The keys are held by [plan.given_keys]; see {!Given_keys.release_held}.

    A device is opened as [luks-UUID], since inspection finds by that name what
    the guest's own configuration names. *)

val map_name : taken:string list -> device:string -> uuid:string -> string
(** The name to open a device by: [luks-UUID], or if that is taken (the devices
    are copies of each other) with [-2], [-3], ... behind it.  A UUID that is
    none, since the disk says what it likes, is replaced by the device's
    name. *)
