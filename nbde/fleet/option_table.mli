(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The options of virt-nbde-fleet, one table. *)

val program : string
(** ["virt-nbde-fleet"] *)

type messages = {
  quiet : bool;
  verbose : bool;
  colours : bool;
  machine_readable : Messages.output option;
}

(** What the options make, from left to right. *)
type t = {
  messages : messages;
  uri : string option;
  domains : bool;
  state_folder : string option;
  disk_format : string option;
  children : int option;
  tries_again : int;
  first_pause : float;
  failed_too : bool;
  number : int option;
  limit : float option;
  folder : string option;
  key_format : string option;
  output_file : string option;
  passed_on : string list;      (* in reverse *)
}

val initial : t

exception Print_only of string
(** --help and its like end the parsing where they stand. *)

val options : unit -> t Options.t list

val features : string
(** For [--machine-readable] alone: a line each. *)
