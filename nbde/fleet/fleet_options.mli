(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The command line of virt-nbde-fleet as one record. *)

type run = {
  action : Guest.action;
  source : Guest_list.source;
  command : string list;        (** of [run] *)
  state : string;
  format : string option;       (** of disks *)
  parallel : int;
  retries : int;
  pause : float;
  retry_failed : bool;
  index : int option;
  timeout : float option;       (** for a child, in seconds *)
  keys_folder : string option;
  keys_format : string;
  passed : string list;         (** options for all children *)
}

type report = {
  state : string;
  format : string option;
  output : string option;       (** a file *)
}

type what =
  | Work of run
  | Report of report

type messages = {
  quiet : bool;
  verbose : bool;
  colours : bool;
  machine_readable : Messages.output option;
}

type t =
  | Print of string
  | Go of messages * what

val program : string
(** ["virt-nbde-fleet"] *)

val parse : string array -> t
(** Raises {!Options.Error}. *)
