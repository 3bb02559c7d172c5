(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Names and folders of this host. *)

val absolute : string -> string
(** The same file, whatever the current folder is going to be. *)

val make_folder : parent:string -> prefix:string -> string
(** A new folder that nobody else may enter; its name.  Raises
    [Unix.Unix_error], which names it. *)

val write_text : Unix.file_descr -> string -> unit
(** All of it.  Raises [Unix.Unix_error]. *)

val remove : string -> unit
(** A file, or a folder with all that is in it, as far as that can be
    removed. *)
