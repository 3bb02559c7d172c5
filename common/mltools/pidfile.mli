(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A file with the ID of a process: one line, a number.

    The folder may be one where others can write, as [/tmp] is: no symbolic
    link is ever followed, and nothing but an older file of this kind is
    replaced or removed. *)

val check : string -> unit
(** Can the file be written, and is nothing else in its place?  A file that a
    process has left behind is no obstacle.  Raises {!Failure.Error}. *)

val write : made:(string -> unit) -> string -> int -> unit
(** [write ~made file pid]: whole or not at all, in the place of an old one.
    [made] is told the name of the temporary file, which must be removed if
    this process is killed.  Raises {!Failure.Error}. *)

val remove : string -> int -> unit
(** [remove file pid]: if that is still what it says. *)
