(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What this stage does not know.

    The appliance always knows what a disk holds: where we are not sure that we
    would say the same, we say nothing, and why. *)

exception Unknown of string
(** A reason in a few words. *)

val because : ('a, unit, string, 'b) format4 -> 'a
(** Raises {!Unknown}. *)
