(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The time when this process has no key any more. *)

val check : unit -> unit
(** Raises {!Failure.Error} if a key was not released, which is a fault of
    ours. *)

val wait : unit -> unit
(** The same, after the verification that may still be under way.  Raises
    {!Signals.Interrupted}. *)
