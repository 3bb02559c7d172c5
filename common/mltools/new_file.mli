(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Files and folders that are there whole, and on disk, or not at all.  They are
    made under a hidden name in the same folder, which is removed if anything
    fails.

    The functions raise what was raised while the content was written, by
    [check], which is called when all of it is written and before it gets its
    name, and [Unix.Unix_error] or [Sys_error]. *)

type content = Unix.file_descr -> unit
(** Writes what is in a file. *)

val write :
  ?made:(string -> unit) -> ?perms:int -> replace:bool -> check:(unit -> unit)
  -> string -> content -> unit
(** A file, by default one that only its owner may read.  Without [replace] it is
    an error, and nothing is changed, if there is something of this name by then.
    [made] is told the hidden name, for somebody else to remove it if this process
    is killed. *)

val sync_folder : string -> unit
(** Names that were made in this folder are on disk, as far as its filesystem lets
    us see to that. *)

val write_all :
  replace:bool -> check:(unit -> unit) -> (string * content) list -> unit
(** Files of the same kind, by their names: without [replace] all or none of
    them. *)

val write_folder :
  check:(unit -> unit) -> string -> (string * content) list -> unit
(** A folder of such files, by their names.  A folder of the same name is
    replaced. *)
