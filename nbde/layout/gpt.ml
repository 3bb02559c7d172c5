(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * GUID partition tables, by the rules of the kernel.
 *)

open Gettext
open Step

let protective = 0xee

let has_protective_mbr first =
  Field.le16 first 510 = 0xaa55
  && List.exists (fun i ->
       let at = 446 + 16 * i in
       Field.byte first (at + 4) = protective && Field.le32 first (at + 8) = 1)
       [0; 1; 2; 3]

let header_size = 92
let entry_size = 128

(* Tables have 128 entries; the kernel takes 32768. *)
let most_entries = 4096

type header = { count : int; entries : int; entries_crc : int }

let without_crc header =
  String.sub header 0 16 ^ "\000\000\000\000"
  ^ String.sub header 20 (String.length header - 20)

(* The checks of the kernel, in its order. *)
let parse sector ~lba ~last =
  let size = Field.le32 sector 12 in
  let first_usable = Field.le64 sector 40
  and last_usable = Field.le64 sector 48
  and entries = Field.le64 sector 72
  and count = Field.le32 sector 80 in
  if not (Field.is_at sector 0 "EFI PART") then Error (s_"has no signature")
  else if size < header_size || size > String.length sector then
    Error (s_"has another size")
  else if Checksum.crc32 (without_crc (String.sub sector 0 size))
          <> Field.le32 sector 16 then
    Error (s_"has a wrong checksum")
  else if Field.le64 sector 24 <> lba then Error (s_"is for another place")
  else if first_usable > last || last_usable > last
          || last_usable < first_usable then
    Error (s_"is for a larger disk")
  else if Field.le32 sector 84 <> entry_size then
    Error (s_"has entries of another size")
  else if count = 0 || entries > last then Error (s_"has no entries")
  else Ok { count; entries; entries_crc = Field.le32 sector 88 }

(* The entries of the table whose header is in this sector. *)
let entries (block : Block.t) lba =
  let last = block.size / block.sector_size - 1 in
  if lba > last then return (Error (s_"is beyond the end"))
  else
    let* sector = read block (lba * block.sector_size) block.sector_size in
    match parse sector ~lba ~last with
    | Error _ as error -> return error
    | Ok { count; _ } when count > most_entries ->
       Unknown.because (f_"a GPT with %d entries") count
    | Ok { count; entries; entries_crc } ->
       let length = count * entry_size and at = entries * block.sector_size in
       if at + length > block.size then
         return (Error (s_"has entries beyond the end"))
       else
         let* bytes = read block at length in
         if Checksum.crc32 bytes <> entries_crc then
           return (Error (s_"has entries with a wrong checksum"))
         else return (Ok bytes)

let unused = String.make 16 '\000'

(* Of the logical disk manager of Windows. *)
let ldm = [
  "\xaa\xc8\x08\x58\x8f\x7e\xe0\x42\x85\xd2\xe1\xe9\x04\x34\xcf\xb3";
  "\xa0\x60\x9b\xaf\x31\x14\x62\x4f\xbc\x68\x33\x11\x71\x4a\x69\xad";
]

let partition (block : Block.t) bytes i =
  let at = i * entry_size in
  let kind = String.sub bytes at 16 in
  let first = Field.le64 bytes (at + 32)
  and end_ = Field.le64 bytes (at + 40) in
  let last = block.size / block.sector_size - 1 in
  if List.mem kind ldm then
    Unknown.because (f_"a disk of the Windows logical disk manager");
  if kind = unused || first > last || end_ > last then None
  else if end_ < first - 1 then
    Unknown.because (f_"a partition that ends before it begins")
  else
    Partition.make block ~number:(i + 1) ~start:(first * block.sector_size)
      ~length:((end_ - first + 1) * block.sector_size)

let partitions block bytes =
  let count =
    min (String.length bytes / entry_size) (Partition.most - 1) in
  List.filter_map (partition block bytes) (List.init count Fun.id)

(* The backup is only looked at to say what is wrong. *)
let without_primary (block : Block.t) problem =
  let* backup = entries block (block.size / block.sector_size - 1) in
  match backup with
  | Ok _ ->
     Unknown.because
       (f_"the primary GPT %s; its backup is whole, but the kernel ignores it")
       problem
  | Error _ -> Unknown.because (f_"the GPT %s") problem

let read block first =
  if not (has_protective_mbr first) then return None
  else
    let* primary = entries block 1 in
    match primary with
    | Ok bytes -> return (Some (partitions block bytes))
    | Error problem -> without_primary block problem
