(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The time from which no process has a key any more. *)

val from_now_on : unit -> unit
(** End the vault.  Raises {!Failure.Error}, and leaves it, if a key was not
    released, which is a fault of ours. *)
