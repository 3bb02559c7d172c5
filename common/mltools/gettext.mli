(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Translated messages.

    Every text for people is marked where it stands: [s_"..."] for a plain
    string, [f_"..."] for a format.  The catalogues are in [po/]; the language
    is taken from the environment when the program starts. *)

val s_ : string -> string
(** The translation of a string, or the string itself. *)

val f_ :
  ('a, 'b, 'c, 'd, 'e, 'f) format6 -> ('a, 'b, 'c, 'd, 'e, 'f) format6
(** The translation of a format.  One whose conversions are not those of the
    original is not used: the original is. *)

val fn_ :
  ('a, 'b, 'c, 'd, 'e, 'f) format6 -> ('a, 'b, 'c, 'd, 'e, 'f) format6 -> int ->
  ('a, 'b, 'c, 'd, 'e, 'f) format6
(** [fn_ singular plural n]: the translation of a format that holds the number
    [n], in the form that the language has for it. *)

val checked :
  string ->
  ('a, 'b, 'c, 'd, 'e, 'f) format6 -> ('a, 'b, 'c, 'd, 'e, 'f) format6
(** [checked translated format] is the translated format if it takes the same
    arguments, and [format] itself otherwise. *)
