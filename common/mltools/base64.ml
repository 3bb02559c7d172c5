(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Bytes as text.
 *)

let alphabet =
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

(* Three bytes are four characters; bytes that are missing are padding. *)
let encode s =
  let length = String.length s in
  let byte i = if i < length then Char.code s.[i] else 0 in
  let char i =
    let group = i / 4 * 3 in
    let bits =
      byte group lsl 16 lor (byte (group + 1) lsl 8) lor byte (group + 2) in
    if group + i mod 4 > length then '='
    else alphabet.[bits lsr (18 - 6 * (i mod 4)) land 63] in
  String.init ((length + 2) / 3 * 4) char
