(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A block device, and where its bytes are.
 *)

open Gettext

type source =
  | Disk of int
  | Opened of string

type extent = { source : source; offset : int; length : int }

type t = {
  name : string;
  size : int;
  sector_size : int;
  extents : extent list;
}

let whole source ~name ~size ~sector_size =
  { name; size; sector_size; extents = [{ source; offset = 0; length = size }] }

let total extents =
  List.fold_left (fun sum extent -> sum + extent.length) 0 extents

let is_complete { size; extents; _ } = total extents = size

let part { name; extents; _ } ~offset ~length =
  if offset < 0 || length < 0 || offset > total extents - length then
    Unknown.because (f_"%s is too short for what it should hold") name;
  (* at: where the extent begins in the device. *)
  let clip (at, found) extent =
    let first = max offset at
    and last = min (offset + length) (at + extent.length) in
    at + extent.length,
    if first >= last then found
    else
      { extent with offset = extent.offset + first - at; length = last - first }
      :: found in
  List.rev (snd (List.fold_left clip (0, []) extents))

let rec letters n =
  let last = String.make 1 (Char.chr (Char.code 'a' + n mod 26)) in
  if n < 26 then last else letters (n / 26 - 1) ^ last

let disk_name n = "/dev/sd" ^ letters n
