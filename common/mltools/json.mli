(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** JSON, written and read by jansson. *)

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

exception Invalid of { line : int; column : int; reason : string }
(** Counted from 1. *)

val of_string : string -> t
(** One document, whatever it is.  A number without fraction and exponent is an
    [Int].  Fields come in the order of the text.  Raises {!Invalid}: not JSON, a
    field twice, not UTF-8, deeper than jansson goes (2048), or something behind
    the end. *)

val member : string -> t -> t
(** The field of this name; [Null] if there is none, or this is no [Dict]. *)

val elements : t -> t list
(** Of a [List]; none of anything else. *)
