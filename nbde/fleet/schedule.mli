(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Which guest is next.  Nothing is done here; guests are numbers, servers are
    URLs, times are seconds.

    Guests come in the order of the input.  A server that nobody has reached yet
    gets one guest, the canary; the others that name it wait for that one's end.
    If it was not reached, guests that do not open without it wait until another
    canary has tried it, after pauses that grow. *)

type settings = {
  parallel : int;               (** children at a time *)
  retries : int;                (** how often a guest, and a server, is tried again *)
  pause : float;                (** before the first time; each is twice the last *)
  holds : bool;                 (** do guests wait for servers that are down? *)
}

type t

val make : settings -> (int * Needs.t option) list -> t
(** Guests that are to be worked on; [None] if what they need has to be found
    out. *)

type next =
  | Start of int
  | Give_up of int * string     (** it hangs on this server, which was tried often
                                    enough *)
  | Wait of float option        (** until a child ends, or until this time *)
  | Finished

val next : t -> now:float -> t * next

val is_known : t -> int -> bool
(** Is it known what the guest that was started needs? *)

val is_new_try : t -> int -> bool
(** Is the guest that was started the canary of a server that was down? *)

val learned : t -> int -> Needs.t -> t
(** The guest that was started, and whose needs were not known, needs this: it is
    to be started again. *)

val heard : t -> now:float -> int -> Needs.evidence -> t
(** A guest has done with servers, and found this, but has not ended yet: a command
    may run for hours. *)

val ended :
  ?last:bool -> t -> now:float -> int -> Verdict.t -> Needs.evidence -> t * bool
(** A guest has ended so; is that its last word, as it is with [last]?  If not, it
    comes again. *)

val down : t -> string list
(** Servers that could not be reached the last time they were tried. *)
