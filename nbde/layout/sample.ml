(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * For tests: partition tables, MD superblocks and LVM2 metadata, written by
 * hand.
 *)

open Printf

let kib = 1024
let mib = 1024 * kib
let luks = "LUKS\xba\xbe\000\002"

(* Partition tables *)

type entry = { kind : int; start : int; sectors : int }

let set_entries ?(at = 0) disk entries =
  Trial.put16 disk (at + 510) 0xaa55;
  List.iteri (fun i { kind; start; sectors } ->
    let at = at + 446 + 16 * i in
    Trial.put disk (at + 4) (String.make 1 (Char.chr kind));
    Trial.put32 disk (at + 8) start;
    Trial.put32 disk (at + 12) sectors) entries

let crc disk at length =
  Checksum.crc32 (Bytes.sub_string disk.Trial.bytes at length)

(* Make the checksums of a header right, and those of its entries. *)
let repair_gpt disk at =
  let get = Bytes.get_int32_le disk.Trial.bytes in
  let length = Int32.to_int (get (at + 80)) * 128
  and entries =
    Int64.to_int (Bytes.get_int64_le disk.bytes (at + 72)) * disk.sector_size in
  let size = Bytes.length disk.bytes in
  if length > 0 && length < mib && entries >= 0 && entries <= size - length then
    Trial.put32 disk (at + 88) (crc disk entries length);
  let length = Int32.to_int (get (at + 12)) in
  if length >= 92 && length <= disk.sector_size then (
    Trial.put32 disk (at + 16) 0;
    Trial.put32 disk (at + 16) (crc disk at length)
  )

let gpt_entries = 128

let set_gpt_header disk ~lba ~other ~entries ~last =
  let at = lba * disk.Trial.sector_size in
  let put64 offset = Trial.put64 disk (at + offset) in
  Trial.put disk at "EFI PART\000\000\001\000\x5c";
  put64 24 lba;
  put64 32 other;
  put64 40 34;
  put64 48 (last - 33);
  Trial.put disk (at + 56) "a disk----------";
  put64 72 entries;
  Trial.put32 disk (at + 80) gpt_entries;
  Trial.put32 disk (at + 84) 128;
  repair_gpt disk at

let set_gpt disk partitions =
  let sector = disk.Trial.sector_size in
  let last = Bytes.length disk.bytes / sector - 1 in
  let backup = last - gpt_entries * 128 / sector in
  set_entries disk [{ kind = 0xee; start = 1; sectors = last }];
  List.iter (fun table ->
    List.iteri (fun i { start; sectors; _ } ->
      let at = table * sector + 128 * i in
      Trial.put disk at "a type----------a partition-----";
      Trial.put64 disk (at + 32) start;
      Trial.put64 disk (at + 40) (start + sectors - 1)) partitions)
    [2; backup];
  set_gpt_header disk ~lba:1 ~other:last ~entries:2 ~last;
  set_gpt_header disk ~lba:last ~other:1 ~entries:backup ~last

(* MD *)

(* What a superblock says; sizes in sectors. *)
type superblock = {
  uuid : string;
  name : string;
  level : int;
  raid_disks : int;
  features : int;
  size : int;
  data_offset : int;
  data_size : int;
  number : int;
  flags : int;
  events : int;
  roles : int list;
}

let superblock = {
  uuid = "0123456789abcdef"; name = "guest:root"; level = 1; raid_disks = 2;
  features = 0; size = 4096; data_offset = 2048; data_size = 4096; number = 0;
  flags = 0; events = 17; roles = [0; 1];
}

let repair_1 disk at =
  let max_dev = Int32.to_int (Bytes.get_int32_le disk.Trial.bytes (at + 220)) in
  if max_dev >= 0 && max_dev < 1920 then (
    Trial.put32 disk (at + 216) 0;
    let s = Bytes.sub_string disk.bytes at (256 + 2 * max_dev) in
    Trial.put32 disk (at + 216) (Checksum.sum32 s)
  )

(* Version 1 *)
let write_1 disk at s =
  let put32 offset = Trial.put32 disk (at + offset)
  and put64 offset = Trial.put64 disk (at + offset) in
  put32 0 0xa92b_4efc;
  put32 4 1;
  put32 8 s.features;
  Trial.put disk (at + 16) s.uuid;
  Trial.put disk (at + 32) s.name;
  put64 64 1_700_000_000;
  put32 72 s.level;
  put64 80 s.size;
  put32 92 s.raid_disks;
  put64 128 s.data_offset;
  put64 136 s.data_size;
  put64 144 (at / 512);
  put32 160 s.number;
  Trial.put disk (at + 168) (sprintf "device-%d--------" s.number);
  Trial.put disk (at + 184) (String.make 1 (Char.chr s.flags));
  put64 192 1_700_000_000;
  put64 200 s.events;
  put64 208 (-1);
  put32 220 (List.length s.roles);
  List.iteri (fun i role -> Trial.put16 disk (at + 256 + 2 * i) role) s.roles;
  repair_1 disk at

let repair_0 disk at =
  Trial.put32 disk (at + 4 * 38) 0;
  Trial.put32 disk (at + 4 * 38)
    (Checksum.sum32 (Bytes.sub_string disk.Trial.bytes at 4096))

(* Version 0.90 *)
let write_0 disk at s =
  let put i = Trial.put32 disk (at + 4 * i) in
  put 0 0xa92b_4efc;
  put 2 90;
  Trial.put disk (at + 20) (String.sub s.uuid 0 4);
  Trial.put disk (at + 52) (String.sub s.uuid 4 12);
  put 6 1_700_000_000;
  put 7 s.level;
  put 8 (s.size / 2);
  put 9 s.raid_disks;
  put 10 s.raid_disks;
  put 11 3;
  put 32 1_700_000_000;
  put 33 1;
  let active = List.length (List.filter ((>) s.raid_disks) s.roles) in
  put 34 active;
  put 35 active;
  put 39 s.events;
  let device first i =
    put first i;
    put (first + 1) 8;
    put (first + 2) (16 * i);
    put (first + 3) i;
    put (first + 4) 6 in
  List.iteri (fun i role ->
    device (128 + 32 * i) i;
    (* faulty and removed *)
    if role >= s.raid_disks then put (128 + 32 * i + 4) 9) s.roles;
  device 992 s.number;
  repair_0 disk at

(* LVM2 *)

(* A label, one metadata area, and the text in it. *)

let label_at = 512
let area_at = 4096
let area_size = mib - 4096
let data_at = mib

let dashes uuid =
  String.concat "-"
    (List.map (fun (at, length) -> String.sub uuid at length)
       [0, 6; 6, 4; 10, 4; 14, 4; 18, 4; 22, 4; 26, 6])

(* LVM takes letters and digits only. *)
let uuid name =
  let name =
    String.map (function '.' | '-' | '+' | '_' -> '0' | c -> c) name in
  name ^ String.make (32 - String.length name) 'x'

let sum disk at length =
  Checksum.lvm (Bytes.sub_string disk.Trial.bytes at length)

let repair_label disk =
  Trial.put32 disk (label_at + 16) (sum disk (label_at + 20) 492)

let repair_area disk = Trial.put32 disk area_at (sum disk (area_at + 4) 508)

let write_label disk name =
  Trial.put disk label_at "LABELONE";
  Trial.put64 disk (label_at + 8) 1;
  Trial.put32 disk (label_at + 20) 32;
  Trial.put disk (label_at + 24) "LVM2 001";
  let at = label_at + 32 in
  Trial.put disk at (uuid name);
  Trial.put64 disk (at + 32) (Bytes.length disk.bytes);
  Trial.put64 disk (at + 40) data_at;
  Trial.put64 disk (at + 72) area_at;
  Trial.put64 disk (at + 80) area_size;
  (* Two zero pairs end the list; then the version of what follows, and a flag:
     it is used. *)
  Trial.put32 disk (at + 104) 2;
  Trial.put32 disk (at + 108) 1;
  repair_label disk

(* Where the text stands in the ring, and, if it goes round, goes on. *)
let text_places ~offset text =
  let before = min (String.length text) (area_size - offset) in
  (area_at + offset, String.sub text 0 before),
  (area_at + 512, String.sub text before (String.length text - before))

let write_text ?(offset = 512) disk text =
  let text = text ^ "\000" in
  let (at, first), (again, rest) = text_places ~offset text in
  Trial.put disk at first;
  Trial.put disk again rest;
  Trial.put disk (area_at + 4) " LVM2 x[5A%r0N*>";
  Trial.put32 disk (area_at + 20) 1;
  Trial.put64 disk (area_at + 24) area_at;
  Trial.put64 disk (area_at + 32) area_size;
  Trial.put64 disk (area_at + 40) offset;
  Trial.put64 disk (area_at + 48) (String.length text);
  Trial.put32 disk (area_at + 56) (Checksum.lvm text);
  repair_area disk

type segment = { pv : string; from : int; count : int }
type lv = {
  name : string;
  status : string;
  flags : string;
  segments : segment list;
}

let segment first i { pv; from; count } =
  sprintf "segment%d {\nstart_extent = %d\nextent_count = %d\n\n\
           type = \"striped\"\nstripe_count = 1\n\n\
           stripes = [\n\"%s\", %d\n]\n}\n"
    (i + 1) first count pv from

let lv_text { name; status; flags; segments } =
  let _, texts =
    List.fold_left (fun (first, texts) (i, one) ->
      first + one.count, segment first i one :: texts) (0, [])
      (List.mapi (fun i one -> i, one) segments) in
  sprintf "%s {\nid = \"%s\"\nstatus = [%s]\nflags = [%s]\n\
           creation_time = 1700000000\t# a comment { \"\n\
           creation_host = \"h\\\"\\\\\"\nsegment_count = %d\n\n%s}\n\n"
    name (dashes (uuid ("lv" ^ name))) status flags (List.length segments)
    (String.concat "\n" (List.rev texts))

let pv_text size name =
  sprintf "%s {\nid = \"%s\"\ndevice = \"/dev/x\"\n\n\
           status = [\"ALLOCATABLE\"]\n\
           flags = []\ndev_size = %d\npe_start = %d\npe_count = %d\n}\n\n"
    name (dashes (uuid name)) (size / 512) (data_at / 512)
    ((size - data_at) / (64 * kib))

let pv_size = 4 * mib

let group ?(name = "vg") ?(extra = "") ~pvs lvs =
  sprintf "%s {\nid = \"%s\"\nseqno = 3\nformat = \"lvm2\"\n\
           status = [\"RESIZEABLE\", \"READ\", \"WRITE\"]\nflags = []\n%s\
           extent_size = 128\nmax_lv = 0\nmax_pv = 0\nmetadata_copies = 0\n\n\
           physical_volumes {\n\n%s}\n\nlogical_volumes {\n\n%s}\n\n}\n\
           # Generated by a test\n\ncontents = \"Text Format Volume Group\"\n\
           version = 1\n\ndescription = \"a \\\"test\\\" {\"\n\n\
           creation_host = \"h\"\t# Linux\ncreation_time = 1700000000\n\n"
    name (dashes (uuid name)) extra
    (String.concat "" (List.map (pv_text pv_size) pvs))
    (String.concat "" (List.map lv_text lvs))

let visible = {|"READ", "WRITE", "VISIBLE"|}

let lv ?(status = visible) ?(flags = "") name segments =
  { name; status; flags; segments }
