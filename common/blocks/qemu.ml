(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * qemu-img and qemu-nbd.
 *)

open Gettext

(* What an image takes of the address space: caches of metadata, and the stacks
 * of threads.
 *)
let memory_of_image = 128 * 1024 * 1024

let memory ~images = Sandbox.enough_memory + images * memory_of_image

let last_line text =
  let lines = List.map String.trim (String.split_on_char '\n' text) in
  match List.rev (List.filter ((<>) "") lines) with
  | line :: _ -> line
  | [] -> s_"it said nothing"

(* What stands behind a node. *)
let without_node line =
  let rec search i =
    if i + 3 > String.length line then line
    else if String.sub line i 3 = "}':" then
      String.trim (String.sub line (i + 3) (String.length line - i - 3))
    else search (i + 1) in
  search 0

(* qemu's own reasons are shorter, but for the names of files. *)
let longest = 1024

let reason errors =
  let reason = without_node (last_line errors) in
  Escape.text (String.sub reason 0 (min longest (String.length reason)))
