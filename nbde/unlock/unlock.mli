(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** From LUKS devices to keys and open devices. *)

type known
(** What was found, and done, without the appliance. *)

val nothing_known : string -> known
(** The host was not asked, since... *)

type search
(** What a first look has found on the host, or why there is none. *)

val search : Host.t -> Plan.t -> search

val on_host : Host.t -> Plan.t -> search -> known
(** Do as the plan says as far as the host can.  Keys are recovered, and what is
    inside of a device that they open is looked at, as if it had been opened.
    Raises {!Failure.Error}, {!Signals.Interrupted}. *)

val doubt : known -> string option
(** Why the appliance has to look as well, if it has to. *)

val findings : Plan.t -> known -> Types.findings
(** If it has not. *)

val memory_need : Plan.t -> known -> Appliance.foreseen
(** The memory that opening these devices in the appliance takes. *)

val memory_foreseen : Plan.t -> search -> Appliance.foreseen
(** The same, when nobody was asked yet: the most that it may be, unless a device
    is inside of another. *)

val in_appliance : Guestfs.guestfs -> Plan.t -> known -> Types.findings
(** Open in the appliance what was recovered, and search it for what is not
    known.  Raises [Appliance.Too_small] if the appliance must be started with
    more memory, and that may be done; [Appliance.Other_device] if the host has
    seen another device by this name.

    The keys are held by [plan]; see {!Plan.release}.

    A device is opened as [luks-UUID], since inspection finds by that name what
    the guest's own configuration names. *)
