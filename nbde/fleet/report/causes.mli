(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Many guests fail for one reason.  That is said once, and what to do, too. *)

type group = {
  cause : string;
  hints : string list;
  guests : Records.guest list;
}

val groups :
  Standing.t -> Records.guest list -> group list * Records.guest list
(** Guests of this outcome that have a cause in common, the largest group first;
    and those that have one of their own, by name. *)
