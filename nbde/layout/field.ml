(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Numbers and texts of structures on a disk.
 *)

let far = 1 lsl 60

let byte s at = Char.code s.[at]
let le16 = String.get_uint16_le
let le32 s at = Int32.to_int (String.get_int32_le s at) land 0xffff_ffff
let be32 s at = Int32.to_int (String.get_int32_be s at) land 0xffff_ffff

let le64 s at =
  let number = String.get_int64_le s at in
  if number < 0L || number > Int64.of_int far then far
  else Int64.to_int number

let times a b = if a <> 0 && b > far / a then far else min far (a * b)

let is_at s at text =
  let length = String.length text in
  at >= 0 && String.length s - at >= length && String.sub s at length = text

let text s at length =
  let text = String.sub s at length in
  match String.index_opt text '\000' with
  | Some i -> String.sub text 0 i
  | None -> text
