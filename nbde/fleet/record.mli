(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What is kept of the last end of an action for a guest: the file
    [guests/NAME/ACTION.json] of the state folder. *)

type t = {
  guest : Guest.t;
  action : Guest.action;
  asked : Json.t;               (** what else makes it the same work: the command
                                    of [run], where keys go *)
  started : float;
  seconds : float;
  tries : int;                  (** so far; 0 if no child was started *)
  exit_status : int option;     (** of the child *)
  signal : int option;          (** that has ended it, as the system numbers it *)
  verdict : Verdict.t;
  command_status : int option;
  errors : string list;
  document : Json.t;            (** of the child, or [Null] *)
}

val time : float -> string
(** RFC 3339, in UTC. *)

val to_json : t -> Json.t

(** What the next run has to know of a record. *)
type summary = {
  verdict : Verdict.t;
  tries : int;
  started : string;
  document : Json.t;
  line : Json.t;                (** the record without the document *)
}

val read :
  same:(Guest.t * Json.t) option -> string -> summary option
(** From the text of a record.  [None] if it is none, or, with [same], about
    other disks, or another thing was asked for. *)

val devices : Json.t -> Json.t
(** Of a document, for the journal: by which token, keyslot and servers. *)
