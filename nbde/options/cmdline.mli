(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The command line as one record. *)

type output_format =
  | Text
  | Json                        (** see {!Json_document} *)
  | Xml                         (** see {!Inspect_xml} *)

type t = {
  disks : Types.disk list;
  guest : Guest_options.t;
  list : bool;
  check : bool;
  preflight : bool;
  probe : bool;                 (** see {!Preflight.run} *)
  inspect : bool;
  applications : bool;          (** these two: see {!Inspect.wanted} *)
  icon : bool;
  mount : Mount.settings option;
  output_format : output_format;
  output_keys : Keyfile.target option;
  run : string list option;     (** see {!Handover} *)
  appliance : Appliance.settings;
  looks : View.looks;
  quick_open : bool;            (** see {!Plan.depth} *)
  servers : Servers.settings;
  quiet : bool;
  colours : bool;
  wrap : bool;
  machine_readable : Messages.output option;
}

type request =
  | Print of string             (** [--help], [--version] and the like *)
  | Run of t

val actions : t -> string list
(** The names of the options of the actions, without dashes. *)

val parse : string array -> request
(** Raises {!Options.Error}, {!Failure.Error}. *)

val needs_appliance : t -> string option
(** The option that needs it, whatever the disks are. *)
