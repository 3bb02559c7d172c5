(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Physical volumes of LVM2.
 *)

open Gettext
open Step

type t = {
  block : Block.t;
  uuid : string;
  is_used : bool;
  texts : string list;
}

let sector = 512

(* LVM looks at the first four sectors. *)
let labels first =
  List.filter (fun i -> Field.is_at first (i * sector) "LABELONE") [0; 1; 2; 3]

let has_label first = labels first <> []

let damaged () = Unknown.because (f_"a damaged LVM label")

(* Offsets and lengths of areas, up to one that is zero; the rest comes after
   it. *)
let rec areas label at found =
  if at + 16 > sector then damaged ();
  match Field.le64 label at, Field.le64 label (at + 8) with
  | 0, _ -> List.rev found, at + 16
  | offset, length -> areas label (at + 16) ((offset, length) :: found)

let label_start = 32

let extension_with_used = 2
let is_used_flag = 1

(* LVM does not activate what is on a physical volume that is not marked so, if
   its label is new enough for that mark. *)
let is_used label at =
  at + 8 <= sector
  && (Field.le32 label at < extension_with_used
      || Field.le32 label (at + 4) land is_used_flag <> 0)

(* The UUID, where the metadata areas are, and whether it is in use. *)
let parse_label label ~number =
  if Field.le64 label 8 <> number
     || not (Field.is_at label 24 "LVM2 001")
     || Checksum.lvm (String.sub label 20 (sector - 20)) <> Field.le32 label 16
  then damaged ();
  let at = Field.le32 label 20 in
  if at < label_start || at + 40 > sector then damaged ();
  let _, next = areas label (at + 40) [] in
  let metadata, extension = areas label next [] in
  String.sub label at 32, metadata, is_used label extension

(* The default area of LVM has 1 MiB, and half of that for a text. *)
let longest_text = 1024 * 1024

let area_header = 512
let area_magic = " LVM2 x[5A%r0N*>"
let ignored = 1

let damaged_area () = Unknown.because (f_"a damaged LVM metadata area")

(* The text is in a ring: after its end comes its beginning. *)
let read_text (block : Block.t) (start, size) header =
  let offset = Field.le64 header 40 and length = Field.le64 header 48 in
  let flags = Field.le32 header 60 in
  if offset = 0 || flags land ignored <> 0 then return None
  else (
    if length > longest_text then
      Unknown.because (f_"LVM metadata of %d bytes") length;
    if offset < area_header || offset >= size
       || length > size - area_header then damaged_area ();
    let before = min length (size - offset) in
    let* last = read block (start + offset) before in
    let* first = read block (start + area_header) (length - before) in
    let text = last ^ first in
    if Checksum.lvm text <> Field.le32 header 56 then
      Unknown.because (f_"LVM metadata with a wrong checksum");
    return (Some (Field.text text 0 length))
  )

let read_area (block : Block.t) (start, size) =
  if size < 2 * area_header || start + size > block.size then damaged_area ();
  let* header = read block start area_header in
  if not (Field.is_at header 4 area_magic)
     || Field.le32 header 20 <> 1
     || Field.le64 header 24 <> start
     || Field.le64 header 32 <> size
     || Checksum.lvm (String.sub header 4 (area_header - 4))
        <> Field.le32 header 0
  then damaged_area ();
  read_text block (start, size) header

(* LVM makes one or two of them. *)
let most_areas = 4

(* LVM does not look at smaller devices (pv_min_size). *)
let smallest = 2 * 1024 * 1024

let read (block : Block.t) first =
  match labels first with
  | [] | _ :: _ :: _ -> damaged ()
  | [number] ->
     if block.size < smallest then
       Unknown.because (f_"an LVM label on a device that is too small for it");
     let label = String.sub first (number * sector) sector in
     let uuid, areas, is_used = parse_label label ~number in
     if List.length areas > most_areas then damaged ();
     let* texts = map_list (read_area block) areas in
     return { block; uuid; is_used; texts = List.filter_map Fun.id texts }
