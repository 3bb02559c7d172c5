(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The options that say how servers are asked.  They are many, and {!Cmdline}
    only has to pass them on. *)

type t

val initial : t

val options : t Options.t list

val settings : force:bool -> t -> Servers.settings
(** What they mean together.  [force]: files may be replaced.  Raises
    {!Options.Error}. *)

val seconds : string -> float
(** A number of seconds.  Raises {!Options.Invalid}. *)
