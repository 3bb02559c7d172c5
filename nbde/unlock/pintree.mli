(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Which parts of a tree of pins suffice. *)

val suffices : (Clevis.Luks.pin -> bool) -> Clevis.Luks.pin -> bool
(** Does a pin open, if these leaves do? *)

val roots : Types.device -> (int * Clevis.Luks.pin) list
(** The trees of a device's Clevis tokens that can be used, with the numbers
    of their tokens. *)
