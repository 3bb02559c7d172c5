(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The text that LVM2 keeps its metadata in, taken apart: names with values, in
    sections. *)

type value =
  | Number of int
  | Text of string
  | List of value list
  | Section of section

and section

val parse : string -> section
(** The whole text.  Raises {!Unknown.Unknown} if it is not as LVM writes it:
    also for a name that stands twice, and a number of more than 18 digits. *)

type kind = A_number | A_text | A_list | A_section

val check :
  section -> needed:(string * kind) list -> allowed:(string * kind) list -> unit
(** Has it all these values and no others, each of its type?  Numbers are not
    negative.  Raises {!Unknown.Unknown}: LVM refuses texts that lack something,
    and what it makes of other names is not known here. *)

val sections : section -> (string * section) list
(** The sections in this one, by name. *)

val find : section -> string -> value option

(** {2 Values of a type}

    They raise {!Unknown.Unknown} if the value is not there or of another
    type. *)

val number : section -> string -> int
(** Not negative. *)

val text : section -> string -> string
val inner : section -> string -> section

val words : section -> string -> string list
(** A list of texts; empty if it is not there. *)
