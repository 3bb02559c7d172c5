(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Going to the background: the program goes on in a child process, and the
    process that was started waits until that is ready, passes signals on and
    ends as it does. *)

type t

(** What the process in the foreground is told. *)
type ended =
  | Ready of int                (** exit status *)
  | Exited of int               (** before it was ready *)
  | Interrupted of int          (** by this signal *)
  | Died

type side =
  | Front of ended
  | Back of t                   (** go on here *)

val start : unit -> side
(** Before there are threads, children or secrets.  The one that was started
    returns when the other one is ready or has ended.  Raises
    {!Signals.Interrupted}. *)

val ready : t -> status:int -> unit
(** Let the other process end with this status, leave its session and its
    terminal.  From now on, warnings and errors go to the system's log.
    Raises {!Signals.Interrupted} if the other process has ended. *)

val is_back : unit -> bool
(** If a signal interrupts such a process, it ends with 128 and the number of
    the signal as its status, and the other process says so. *)

val leave : unit -> unit
(** Leave session, terminal, working directory and standard streams. *)
