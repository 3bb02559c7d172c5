(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What is mounted on a folder of this host, and the end of it.  Folders are
    absolute and without symbolic links. *)

type mount = {
  id : string;                  (** of the kernel *)
  fstype : string;
}

val topmost : string -> mount option
(** What is mounted just there, the last one if there are several.  Does not
    wait for whoever serves it. *)

val detach : string -> before:mount option -> unit
(** Unmount the FUSE mount that is there, also if it is in use or nobody serves
    it any more.  Does nothing if there is none, or only what was there
    [before]. *)

val end_on_signal : string -> child:int -> unit
(** From now on, if a signal comes that ends us or this child process ends,
    the loop that serves the mount ends, whether or not the mount is in use. *)

val ended : unit -> unit
(** No longer, since the loop has ended. *)

val descriptors : unit -> (Unix.file_descr * string) list
(** All open file descriptors, and what the kernel says they are. *)

val lines : string -> string list
(** Of a text file.  Raises [Sys_error]. *)
