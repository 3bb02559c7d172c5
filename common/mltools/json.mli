(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** JSON to be written, by jansson. *)

type t =
  | Null
  | Bool of bool
  | Int of int64
  | Float of float
  | String of string            (** bytes that are not UTF-8 are escaped, as
                                    {!Escape.utf8} does *)
  | List of t list
  | Dict of (string * t) list   (** in this order *)

val to_string : ?indent:bool -> t -> string
(** One line, or with [~indent:true] many.  The result is plain ASCII without
    control characters (other than the line feeds of [indent]), whatever the
    strings hold.  Raises [Invalid_argument] for a number that JSON does not
    have. *)
