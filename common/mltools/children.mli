(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Child processes that end with their parent, however that ends, and locks
    that the kernel frees when it does. *)

val clock : unit -> float
(** Seconds since some moment in the past, whatever the time of day is set to. *)

val watch : unit -> Unix.file_descr
(** A descriptor that can be read whenever a child has ended.  Call it once; it
    does not block. *)

val start :
  string -> string array -> stdout:Unix.file_descr -> stderr:Unix.file_descr ->
  int
(** [start file argv ~stdout ~stderr]: its process ID.  The child reads nothing,
    has no other descriptor of ours, is the leader of a session and is
    killed when the thread that has started it ends.  Raises
    [Unix.Unix_error], also if the file cannot be executed. *)

val kill : ?group:bool -> int -> int -> unit
(** [kill pid signal], the signal as OCaml names it; with [group] to the group
    of the child.  Does nothing if it is gone.  Only for a child that was not
    waited for. *)

val lock : ?shared:bool -> ?wait:bool -> Unix.file_descr -> bool
(** Lock an open file, see flock(2): was it locked?  Without [wait] it is not if
    somebody else has it. *)
