(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Lines of text on standard output.
 *)

let width = 80

let indent n line = String.make n ' ' ^ line

let blocks blocks =
  let separated i block = if i = 0 then block else "" :: block in
  List.concat (List.mapi separated blocks)
