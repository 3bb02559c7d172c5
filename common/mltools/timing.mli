(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Where the time goes: seconds of wall time for each step of the program.

    No time is counted twice: what a step within another takes is not counted
    for the outer one. *)

(** In the order in which they are first begun. *)
type step =
  | Start       (** from the start of the program to the first step *)
  | Launch      (** of the appliance, disks included *)
  | Discover    (** finding devices *)
  | Header      (** reading LUKS headers *)
  | Exchange    (** asking servers *)
  | Verify      (** the key derivation of keyslots on this host *)
  | Open        (** opening devices in the appliance *)
  | Rescan      (** finding what is in the devices that were opened *)
  | Inspect
  | Mount
  | Output      (** writing key files *)
  | Command     (** of the user, with the keys *)
  | Shutdown    (** of the appliance *)

val name : step -> string
(** For programs: ["launch"]. *)

val step : step -> (unit -> 'a) -> 'a
(** Count the time of a function, also if it raises an exception. *)

val move : float -> from:step -> into:step -> unit
(** So many seconds of one step were spent on another: at most all of it. *)

val steps : unit -> (step * float) list
(** What was done so far, in order. *)

val clock : (unit -> 'a) -> 'a * float
(** What a function returns, and how many seconds it took. *)

(** The work of another thread, while this one does something else: *)

val apart : (unit -> 'a) -> 'a * (step * float) list
(** Call a function in this other thread; its steps are not counted but
    returned. *)

val absorb : (step * float) list -> from:step -> waited:step * float -> unit
(** In the main thread: count them as if they had been made here, instead of the
    step [from] that was made meanwhile, and of the step in which this thread
    then [waited] so many seconds for the other. *)

val total : unit -> float
(** Seconds since the program started. *)

val text : unit -> string
(** One line for people. *)
