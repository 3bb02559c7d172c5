(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A virt-nbde-unlock that works on a guest, while others do. *)

type t

val start : string -> string list -> limit:float option -> t
(** [start file words ~limit]: it is ended after so many seconds.  Raises
    {!Failure.Error} if it cannot be started. *)

val document : t -> Json.t option
(** See {!Heard.document}. *)

type ended = {
  status : Unix.process_status;
  seconds : float;
  started : float;
  heard : Heard.result;
  late : bool;                  (** it had to be ended after its time limit *)
}

val wait : t list -> seconds:float -> unit
(** Hear what these children say, until one of them has ended or so much time has
    passed.  Returns early if a signal comes. *)

val ended : t -> ended option
(** If it has. *)

val stop : t -> unit
(** Ask it to end; if it does not within some seconds it is killed. *)
