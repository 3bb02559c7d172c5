(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A guest of the fleet, and what the fleet does with each. *)

type disk = {
  path : string;                (** absolute, or a URI *)
  format : string option;
}

type t = {
  name : string;
  disks : disk list;            (** none if it is a domain *)
  domain : string option;       (** its name for libvirt *)
  options : string list;        (** for its child only *)
}

type action = List | Preflight | Keys | Run

val action_name : action -> string
val action_of_name : string -> action option

val check_name : string -> (unit, string) result
(** Can it be the name of a file, and be shown as it is?  If not, why. *)

val is_uri : string -> bool

val json_of_disks : t -> Json.t
(** As in records. *)
