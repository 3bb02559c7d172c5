(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The records of a state folder: what became of each guest.

    Documents are made of what hostile disks say.  Of each only what the report
    shows is kept, so that thousands of them fit into little memory. *)

type action = List | Preflight | Keys | Run

val actions : action list
val action_name : action -> string

type verdict =
  | Done | Error | Failed | Unbound | Unreachable | Command_failed | Killed

val verdicts : verdict list
val verdict_name : verdict -> string

type device = {
  name : string;
  uuid : string option;
  bound : bool;
  preflight : string option;    (** the verdict, as documents name it *)
  roots : Pins.t list;          (** of the tokens that can be used *)
  answers : (Pins.key * Pins.said) list;  (** of servers that were asked *)
  errors : Pins.trouble list;   (** why it does not open *)
}

(** The last end of an action. *)
type record = {
  action : action;
  verdict : verdict;
  started : float;              (** seconds since 1970 *)
  seconds : float;
  tries : int;
  exit_status : int option;
  signal : int option;
  command_status : int option;
  errors : Pins.trouble list;   (** those that were printed *)
  devices : device list option; (** none if there is no document *)
}

type guest = {
  name : string;
  records : record list;        (** the newest one first *)
  damaged : (string * string) list;  (** files that are no records, and why *)
}

val read : string -> guest list
(** Of a state folder, by name.  Raises {!Failure.Error} if it is none. *)

val parse :
  keep:(string -> string) -> name:string -> action:action -> string
  -> (record, string) result
(** A record from its text; or why it is none.  For tests. *)
