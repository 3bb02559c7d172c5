(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Whether the host's view of the disks is enough, or an appliance has to be
    launched, and when. *)

(** When to launch the appliance. *)
type looks =
  | Auto                        (** only where it is needed *)
  | Always                      (** and it alone looks at the disks *)
  | Never                       (** what needs it is an error *)

(** Where devices are looked for, and how. *)
type t = {
  g : Guestfs.guestfs option;   (** the appliance, if there is one *)
  reason : string option;       (** why *)
  find : unit -> Types.findings; (** find them, and open them as planned *)
}

type settings = {
  looks : looks;
  needed : string option;       (** for what is asked for: why it is needed *)
  appliance : Appliance.settings;
}

val with_view :
  settings -> Janitor.t -> lasting:bool -> Drives.t -> Plan.t -> (t -> 'a) -> 'a
(** The host looks first, unless it may not.  If it is known that the appliance is
    needed, that is launched meanwhile; otherwise only if the host is not sure.
    The other arguments are those of {!Appliance.with_launched}, which may call the
    function again.  Raises {!Failure.Error}, {!Signals.Interrupted}. *)
