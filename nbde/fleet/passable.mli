(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The options of virt-nbde-unlock that a fleet may be given, for all guests or
    in LIST for one of them.  None of them names an action, an output or a disk,
    and none has a key in it. *)

val options : string list Options.t list
(** Each adds its word to a list, the last one first: [--deadline=5]. *)

val check : string list -> (string list, string) result
(** Words of LIST, as on a command line; or what is wrong with them. *)

val for_action : preflight:bool -> string list -> string list
(** Without those that only [--preflight] has. *)
