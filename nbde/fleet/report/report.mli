(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [virt-nbde-fleet report]: what became of a fleet, from its state folder
    alone. *)

type format = Text | Json | Junit | Prometheus | Html

val formats : (string * format) list
(** By their names; the first is the default. *)

val format_of_name : string -> format
(** Raises {!Failure.Error}, which names them all. *)

val run : state:string -> format:format -> output:string option -> string
(** The text to be printed.  With [output] there is none: it is written to that
    file, which is there whole or not at all and replaces an older one.  Raises
    {!Failure.Error} and [Unix.Unix_error]. *)
