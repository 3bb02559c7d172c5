(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Checksums of structures on a disk.
 *)

let polynomial = 0xedb8_8320

let table =
  let rec shift bits crc =
    if bits = 0 then crc
    else
      shift (bits - 1)
        (if crc land 1 = 1 then (crc lsr 1) lxor polynomial else crc lsr 1) in
  Array.init 256 (shift 8)

let update initial s =
  let step crc c = table.((crc lxor Char.code c) land 0xff) lxor (crc lsr 8) in
  String.fold_left step initial s

let crc32 s = update 0xffff_ffff s lxor 0xffff_ffff

let lvm_start = 0xf597_a6cf

let lvm ?(initial = lvm_start) s = update initial s

let sum32 s =
  let length = String.length s in
  let rec add at sum =
    if at + 4 <= length then add (at + 4) (sum + Field.le32 s at)
    else if at + 2 <= length then sum + Field.le16 s at
    else sum in
  let sum = add 0 0 in
  ((sum land 0xffff_ffff) + (sum lsr 32)) land 0xffff_ffff
