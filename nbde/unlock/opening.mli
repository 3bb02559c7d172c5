(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Open devices in the appliance. *)

val own_header_need :
  Plan.t -> quick:bool -> Types.outcome -> Memory.need option
(** What opening a device with its own header takes, if that may come to pass
    (before it was opened). *)

val check_own_header :
  Guestfs.guestfs -> Plan.t -> quick:bool -> Types.outcome -> unit
(** Has the appliance that?  Before anything is opened or asked for in vain.
    Raises [Appliance.Too_small]. *)

val recovered :
  Guestfs.guestfs -> Plan.t -> quick:bool -> was_read_here:bool
  -> Types.device -> string -> Clevis.Exchange.unlocked -> Types.state
(** Open a device under a name with the key that was recovered.  If it
    [was_read_here], on the host, nothing is written before it was seen to be the
    same device: else this raises [Appliance.Other_device].  May raise
    [Appliance.Too_small]. *)

val not_opened_detached : Clevis.Exchange.unlocked -> string -> Types.state
(** What becomes of a device whose header is in this file. *)

val by_clevis :
  Guestfs.guestfs -> taken:string list -> Types.device -> Types.state

val is_closed : Types.outcome -> bool
(** May a key of the user open it? *)

val by_given_key :
  Guestfs.guestfs -> Plan.t -> taken:string list -> Types.outcome
  -> Types.outcome
(** Try these keys, if it is closed and there are some. *)
