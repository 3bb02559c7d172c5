(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** How servers are asked: from the options to a {!Clevis.Policy.t}. *)

(** Where patterns of servers that may be asked come from. *)
type allowed =
  | Pattern of string
  | Patterns_in of string       (** a file, one pattern a line *)

(** Files of an exchange in two steps. *)
type files = {
  carried : string;             (** of requests, or of replies *)
  state : string;
}

(** How questions get to servers. *)
type way =
  | Online
  | Collect of { files : files; replace : bool }
      (** write the requests for somebody else to send *)
  | Replies of files

(** [None] and [[]]: the default of the library. *)
type settings = {
  allow : allowed list;
  map : string list;
  resolve : string list;
  cacert : string option;
  cert : string option;
  key : string option;
  proxy : string option;
  no_proxy : bool;              (** nor those of the environment *)
  timeout : float option;       (** seconds, as the next two *)
  connect_timeout : float option;
  deadline : float option;
  retries : int option;
  parallel : int option;
  share : string option;        (** the folder of runs that spare servers
                                    together *)
  keydir : string option;
  way : way;
}

val default : settings

val default_state : requests:string -> string
(** The file of the state that belongs to a file of requests. *)

val state_of_replies : replies:string -> string option
(** The same for a file of replies, if it has the name that
    [docs/two-step.md] gives it. *)

val check_proxy : string -> bool
(** Is this the URL of a proxy of a kind that we know? *)

val patterns : string -> string list
(** Patterns in the text of a file: without comments and empty lines. *)

val policy : settings -> Clevis.Policy.t
(** Reads the files that are named, so that a mistake is found before time is
    spent.  Raises {!Failure.Error}, {!Clevis.Error}. *)

val forget : settings -> unit
(** After success: remove the state of an exchange whose replies were used.  It
    holds ephemeral keys, and is of no more use. *)
