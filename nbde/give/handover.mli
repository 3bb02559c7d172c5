(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [--run]: run a command that gets the keys in memory.

    Each key is a sealed file in memory that the command inherits, named
    [/proc/self/fd/N]; no key is ever in a file of a disk, in an argument or in
    the environment. *)

type t
(** A command, and the files that it is going to inherit. *)

val check : string list -> unit
(** Is this a command?  Raises {!Options.Error}. *)

val check_found : string list -> unit
(** Can this command be run, as far as one can tell before?  Raises
    {!Failure.Error}, whose status is 127 if there is none, else 126, as shells
    have it. *)

val prepare : string list -> Types.findings -> t
(** Put the keys into memory.  They need not live on.  Raises
    {!Failure.Error} if a key cannot be handed over. *)

val words : string list -> (string * int) list -> string list
(** The words of the command for the keys with these UUIDs in these file
    descriptors: in the place of each [{keys}], or at the end if there is
    neither [{keys}] nor [{stdin}]; [{stdin}] is left out. *)

val run : t -> int
(** Wait for its end; 128 and the number of the signal if a signal ended it.
    Signals that would end this program are passed on to it.  Raises
    {!Failure.Error} if the command could not be started, as {!check_found}. *)
