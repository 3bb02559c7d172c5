(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A line of LIST. *)

exception Bad of { column : int; reason : string }
(** What is wrong with it; columns are counted from 1. *)

val bad : column:int -> ('a, unit, string, 'b) format4 -> 'a
(** Raises {!Bad}. *)

val guest : format:string option -> string -> Guest.t
(** [format] is that of disks that have none in it.  Raises {!Bad}. *)

val of_path : format:string option -> string -> Guest.t
(** The guest whose only disk this is, by the name of the file.  Raises {!Bad}. *)

val column_of : string -> string -> int
(** Where this field stands in a line that is a JSON object; 1 if it does not. *)
