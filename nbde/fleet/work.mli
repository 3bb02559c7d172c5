(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** An action, for all guests that it was not done for yet. *)

type settings = {
  action : Guest.action;
  guests : Guest.t array;
  command : Command.settings;
  schedule : Schedule.settings;
  retry_failed : bool;
  timeout : float option;
}

val all : settings -> State.t -> int
(** Do it; the exit status.  A signal ends it: children are ended, and
    {!Signals.Interrupted} is raised when they have.  The same with whatever else
    is raised. *)

val one : settings -> State.t -> int -> int
(** For the guest of this number only, unless it is done; the exit status is its
    own. *)
