(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Translated messages, by gettext(3).
 *)

external init : unit -> unit = "nbde_gettext_init"
(* Now, since other modules have translated constants. *)
let () = init ()

external s_ : string -> string = "nbde_gettext"
external sn_ : string -> string -> int -> string = "nbde_ngettext"

let checked translated format =
  try Scanf.format_from_string translated format
  with Scanf.Scan_failure _ | Failure _ | End_of_file -> format

let f_ format =
  let original = string_of_format format in
  let translated = s_ original in
  if translated = original then format else checked translated format

let fn_ singular plural n =
  let format = if n = 1 then singular else plural in
  let translated =
    sn_ (string_of_format singular) (string_of_format plural) n in
  if translated = string_of_format format then format
  else checked translated format
