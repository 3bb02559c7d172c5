(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What the end of a child means for its guest. *)

type about = {
  guest : Guest.t;
  action : Guest.action;
  asked : Json.t;               (** see {!Record.t} *)
}

val record : about -> tries:int -> Child.ended -> Record.t

val given_up : about -> tries:int -> string -> Record.t
(** No child was started: others have found in vain that this server is down. *)

val detail : Guest.action -> errors:string list -> Json.t -> string
(** Of the errors and the document of a record, a line for people: what is wrong, or
    which servers the guest has. *)
