(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A qemu-nbd that reads one disk image of this host, in a sandbox.

    It can open the files of the chain, which it is told with their formats, and no
    other; it can make no socket and no process.  It is read-only, and takes no
    locks: a running guest may have the disk.  It serves the one connection that it
    is given, and ends with this process. *)

type t

val start : Chain.t -> t * Unix.file_descr
(** And the connection, on which it answers when it has opened the image.  Raises
    {!Failure.Error}. *)

val stop : t -> unit
(** Whatever signals have come. *)

val fail : t -> string -> 'a
(** [fail t reason]: nothing comes from it any more, because of [reason] as far as
    can be seen from here.  Ends it.  Raises {!Failure.Error}, which says what it
    has said itself. *)
