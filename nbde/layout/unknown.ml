(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What this stage does not know.
 *)

exception Unknown of string

let because format =
  Printf.ksprintf (fun reason -> raise (Unknown reason)) format
