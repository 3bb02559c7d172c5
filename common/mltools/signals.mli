(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A clean end on ^C, SIGTERM and SIGHUP.

    A signal that asks the program to end is noted, and the programs that
    libguestfs started are ended, so that whatever waits for them fails and
    the ordinary way out is taken: handles are closed, temporary files are
    removed.  OCaml's own handlers may not be used for this, since they may
    leave a C function in its middle. *)

exception Interrupted of int
(** By this signal (its number). *)

val catch : unit -> unit
(** From now on.  A write to a closed pipe is an error from now on, not a
    signal. *)

val received : unit -> int option
(** The first signal that came, if any. *)

val check : unit -> unit
(** Raises {!Interrupted} if a signal came, {!Stopped} in a thread that is to
    end. *)

exception Stopped

val stop : Thread.t -> unit
(** This thread shall end: see {!check}. *)

val spare_children : bool -> unit
(** Is a signal only noted from now on?  Cleaning up runs programs, too. *)

val number : int -> int
(** Of a signal as OCaml names it ([Sys.sigterm] and the like), its number on
    this system. *)

val note : int -> unit
(** As if this signal had come, unless another one came before: it has ended
    the process that does the work. *)

val forget : unit -> unit
(** The signal that came has served its purpose. *)

val forward : int -> unit
(** From now on, send to this process what we are sent. *)

val die : int -> 'a
(** End as by this signal, without running anything. *)
