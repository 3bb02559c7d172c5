(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Which servers a guest needs, from the document of its [list]. *)

type t

val none : t

val of_document : Json.t -> t

val servers : t -> string list
(** All that its bindings name, each once. *)

val hangs_on : t -> down:(string -> bool) -> string option
(** One of the servers that are down, if the guest does not open without them
    and would with them. *)

(** {2 What a child has found out} *)

type evidence = {
  reached : string list;
  unreachable : string list;
}

val evidence : Json.t -> evidence
(** From the document of a child that has asked servers. *)
