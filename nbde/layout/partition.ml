(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A partition, as the kernel makes it.
 *)

type t = { number : int; start : int; length : int }

(* DISK_MAX_PARTS *)
let most = 256

let make (block : Block.t) ~number ~start ~length =
  if length <= 0 || start >= block.size then None
  else Some { number; start; length = min length (block.size - start) }

let is_digit c = c >= '0' && c <= '9'

let name disk number =
  let last = disk.[String.length disk - 1] in
  Printf.sprintf "%s%s%d" disk (if is_digit last then "p" else "") number

let block (block : Block.t) { number; start; length } =
  { block with
    name = name block.name number;
    size = length;
    extents = Block.part block ~offset:start ~length }
