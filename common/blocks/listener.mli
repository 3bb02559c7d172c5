(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A connection to a program that is not there yet, for programs that want to be
    given a socket that listens. *)

val connected : unit -> Unix.file_descr * Unix.file_descr
(** A socket that listens, and ours, whose connection waits there to be accepted.
    Nobody else can connect: the path that a listening socket must have is below a
    folder of our own and gone before this returns.  Raises [Unix.Unix_error]. *)
