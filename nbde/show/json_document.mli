(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [--output-format=json]: one document for all actions.

    [docs/virt-nbde-unlock.schema.json] describes it, and the manual page says
    what each field means.  Fields are only ever added, and are always there:
    what is not known or was not asked for is [null].  There is never a key or
    a passphrase in it, as nothing here can read one. *)

type t = {
  actions : string list;        (** names of their options, without dashes *)
  findings : Types.findings;
  preflight : Preflight.t option;
  inspection : Inspect.t option;
  requests : int option;        (** how many --export-requests has written *)
  errors : (string * string option) list;
      (** all that was printed, and hints *)
  appliance : string option;    (** why it was launched, if it was *)
  status : int;                 (** of the program *)
}

val version : int
(** Of the schema: it grows when a field changes its meaning or goes away. *)

val json : t -> Json.t
(** With the timings of the steps until now. *)
