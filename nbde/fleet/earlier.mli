(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What earlier runs have left for this one, in the state folder. *)

val record :
  Command.settings -> State.t -> Guest.action -> Guest.t ->
  Record.summary option
(** Of a guest, if it is about the same disks, the same was asked for, and what was
    done is still there. *)

val may_replace : Command.settings -> State.t -> Guest.t -> bool
(** Was what is in the place of the keys written by this program?  If nothing is
    there, what comes will be. *)

val has_own_servers : Guest.t -> bool
(** Has it options of its own, so that others need not be told what it finds of
    servers? *)

val needs :
  Command.settings -> State.t -> Guest.action -> Guest.t -> Needs.t option
(** Which servers the guest needs for an action, if that is known. *)
