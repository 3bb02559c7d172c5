(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A process that cleans up if this one is killed in a way that it cannot
    catch.  Until then it does nothing. *)

type t

val start : unit -> t
(** Before there are threads or secrets.  Raises [Unix.Unix_error]. *)

(** What is to be done then: *)

val unmount : t -> string -> before:Mountpoint.mount option -> unit
(** See {!Mountpoint.detach}. *)

val remove : t -> string -> unit
(** A file, or a folder with what is in it. *)

val remove_pid_file : t -> string -> int -> unit
(** Only if it has this number in it. *)

val end_programs : t -> Programs.mark -> socket:string -> unit
(** See {!Programs.finish}.  If a socket of this name is in the arguments of one
    of them, its folder is removed with the sockets in it, if nothing else is
    there. *)

val unmounted : t -> unit
(** There is nothing to unmount any more. *)

val finish : t -> unit
(** All has been done: let it end without doing anything. *)
