(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What came of it: the lines of [--check], the failures, the exit status. *)

val check_lines : Types.findings -> string list
(** One line for each LUKS device. *)

val failures : Types.findings -> (string * string option) list
(** An error and its hint for each device, binding and server that failed, the
    device's first; it is left out where it would say nothing more than the only
    other one.  Nothing for devices that were unlocked. *)

val common_reasons : Types.findings -> string list
(** One line for each reason for which several servers or pins failed. *)

val unbound : Types.findings -> string list
(** What to say of devices that were left closed for lack of a binding. *)

val exit_status : Types.findings -> int
(** 0: every bound device was unlocked; 1: a key that the user gave does not
    fit; 2: some bound device was not unlocked; 3: there is no Clevis binding,
    and no key opened anything; 4: as 2, but only because no server could be
    reached. *)
