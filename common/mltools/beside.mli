(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Work that is done beside other work, in a thread.

    OCaml runs one thread at a time, so it is only of use where one of them waits:
    for a server, for another process, in C. *)

type 'a t

val start : (unit -> 'a) -> 'a t
(** Begin.  The function calls {!Signals.check} now and then, which tells it to
    end.

    Programs that the thread starts must not outlive it: some are ended with the
    thread that started them, see prctl(2), [PR_SET_PDEATHSIG]. *)

val result : 'a t -> step:Timing.step -> from:Timing.step -> 'a
(** Wait for its end, as a [step]; what it returned, or raised.  The time of its
    own steps is taken from the step [from], beside which it ran. *)

val stop : 'a t -> unit
(** Wait for its end, and have it end early.  Also after {!result}. *)
