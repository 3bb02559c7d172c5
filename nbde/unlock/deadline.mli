(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** One deadline for all exchanges of a run.  A disk says how many there are: one
    for each layer of LUKS in LUKS. *)

type t

val make : Clevis.Policy.t -> seconds:float -> t
(** Of the exchanges under this policy. *)

val within : t -> (unit -> 'a) -> 'a
(** Make an exchange in the time that the others have left. *)
