(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** How LUKS devices are to be opened. *)

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

type t = {
  depth : depth;
  policy : Clevis.Policy.t;     (** of [On_host] *)
  deadline : Deadline.t;        (** the same *)
  place : place;                (** of [Open] *)
  given_keys : Given_keys.t;    (** for what no binding opens *)
  may_restart : bool;           (** was the memory of the appliance left to
                                    us? *)
  headers : Headers.t;
}

val check_place : t -> unit
(** Raises {!Failure.Error} if it asks for what this program has not, before
    time is spent on a launch. *)

val release : t -> unit
(** Wipe the keys that it holds ({!Given_keys.release_held}) and what was read of
    headers. *)
