(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * RAID1 of the kernel.
 *)

open Gettext
open Step

type role =
  | In_step of int              (* its number in the array *)
  | Not_in_step                 (* spare or faulty *)

type member = {
  block : Block.t;
  version : string;
  uuid : string;
  name : string;                (* as the superblock has it *)
  home : string;                (* 0.90: a hash of the name of its host *)
  at : int;
  raid_disks : int;
  size : int;
  data_offset : int;
  events : int;
  role : role;
  write_mostly : bool;
  roles : string;               (* what it knows of the others *)
  active : int;                 (* how many of them are in step, it says *)
}

let block { block; _ } = block
let superblock_offset { at; _ } = at
let same_array a b = a.uuid = b.uuid

let magic_bytes = "\xfc\x4e\x2b\xa9"
let magic_swapped = "\xa9\x2b\x4e\xfc"

(* The kernel has as many roles in a page. *)
let most_devices_1 = 1920
let most_devices_0 = 27

let superblock_size = 4096

(* Of the levels, only that is understood which has all data on each member. *)
let check_level level =
  if level <> 1 then
    Unknown.because (f_"an MD array of level %s")
      (if level > 0x7fff_ffff then string_of_int (level - 0x1_0000_0000)
       else string_of_int level)

let check_place (block : Block.t) ~data_offset ~size =
  if size = 0 || data_offset + size > block.size then
    Unknown.because (f_"an MD superblock that is for a larger device")

(* Version 1 *)

let feature_bitmap = 1
let feature_bad_blocks = 8
let features = feature_bitmap lor feature_bad_blocks

let write_mostly_flag = 1

(* Without the superblock's own checksum. *)
let sum s length at =
  Checksum.sum32
    (String.sub s 0 at ^ "\000\000\000\000"
     ^ String.sub s (at + 4) (length - at - 4))

let most_bad_blocks = 64 * 1024

(* A block that cannot be read on one member is read from another. *)
let check_bad_blocks (block : Block.t) s ~at ~feature_map =
  let length = Field.le16 s 186 * 512
  and distance = Int32.to_int (String.get_int32_le s 188) * 512 in
  if feature_map land feature_bad_blocks = 0 then return ()
  else
    let from = at + distance in
    if from < 0 || length > most_bad_blocks || from + length > block.size then
      Unknown.because (f_"an MD superblock with bad blocks elsewhere");
    let* log = read block from length in
    if String.exists (fun c -> c <> '\xff') log then
      Unknown.because (f_"an MD member with bad blocks");
    return ()

let role_of s number = Field.le16 s (256 + 2 * number)

let role_1 s ~max_dev ~raid_disks =
  let number = Field.le32 s 160 in
  if number >= max_dev then Not_in_step
  else
    let role = role_of s number in
    if role < raid_disks then In_step role else Not_in_step

let parse_1 (block : Block.t) ~version ~at s =
  let max_dev = Field.le32 s 220 and feature_map = Field.le32 s 8 in
  if max_dev > most_devices_1 then
    Unknown.because (f_"an MD superblock with %d devices") max_dev;
  let length = 256 + 2 * max_dev in
  if sum s length 216 <> Field.le32 s 216 then
    Unknown.because (f_"an MD superblock with a wrong checksum");
  check_level (Field.le32 s 72);
  if feature_map land lnot features <> 0 then
    Unknown.because (f_"an MD array with feature 0x%x")
      (feature_map land lnot features);
  let sectors at = Field.times 512 (Field.le64 s at) in
  let size = sectors 80 and data_offset = sectors 128 in
  check_place block ~data_offset ~size;
  if sectors 136 < size then
    Unknown.because (f_"an MD superblock that contradicts itself");
  let* () = check_bad_blocks block s ~at ~feature_map in
  let raid_disks = Field.le32 s 92 in
  return {
    block; version; at; size; data_offset;
    uuid = String.sub s 16 16;
    name = Field.text s 32 32;
    home = "";
    raid_disks;
    events = Field.le64 s 200;
    role = role_1 s ~max_dev ~raid_disks;
    write_mostly = Field.byte s 184 land write_mostly_flag <> 0;
    roles = String.sub s 256 (2 * max_dev);
    active =
      List.length
        (List.filter (fun i -> role_of s i < raid_disks)
           (List.init max_dev Fun.id));
  }

(* One that says that it is elsewhere belongs to a partition, or is old. *)
let version_1 block ~version ~at s =
  if Field.is_at s 0 magic_bytes && Field.le32 s 4 = 1
     && Field.le64 s 144 = at / 512 then
    let* member = parse_1 block ~version ~at s in
    return (Some member)
  else return None

(* Version 0.90: words of 32 bits. *)

let word s i = Field.le32 s (4 * i)

let state_sync = 1 lsl 2
let state_write_mostly = 1 lsl 9

let parse_0 (block : Block.t) ~at s =
  if word s 1 <> 0 || word s 2 <> 90 then
    Unknown.because (f_"an MD superblock of version %d.%d") (word s 1)
      (word s 2);
  if sum s superblock_size (4 * 38) <> word s 38 then
    Unknown.because (f_"an MD superblock with a wrong checksum");
  check_level (word s 7);
  let size = word s 8 * 1024 and raid_disks = word s 10 in
  if raid_disks > most_devices_0 then
    Unknown.because (f_"an MD superblock with %d devices") raid_disks;
  check_place block ~data_offset:0 ~size;
  let this i = word s (992 + i) in
  { block; version = "0.90"; at; size; raid_disks;
    data_offset = 0;
    uuid = String.sub s 20 4 ^ String.sub s 52 12;
    name = string_of_int (word s 11);
    home = String.sub s 56 8;
    events = Field.le64 s (4 * 39);
    role =
      (if this 4 land state_sync <> 0 && this 3 < raid_disks then
         In_step (this 3)
       else Not_in_step);
    write_mostly = this 4 land state_write_mostly <> 0;
    (* Numbers of devices change from boot to boot. *)
    roles =
      String.concat " "
        (List.init raid_disks (fun i ->
          string_of_int (word s (128 + 32 * i + 4) land lnot
                           state_write_mostly)));
    active = word s 35;
  }

let version_0 block ~at s =
  if Field.is_at s 0 magic_swapped then
    Unknown.because (f_"an MD superblock of another byte order")
  else if Field.is_at s 0 magic_bytes && word s 1 = 0 then
    Some (parse_0 block ~at s)
  else None

(* What firmware takes for a RAID stands in the last sectors. *)
let firmware = [
  "Intel", 1024, "Intel Raid ISM Cfg Sig. ";
  "DDF", 512, "\xde\x11\xde\x11";
  "DDF", 512, "\x11\xde\x11\xde";
]
let tail = 1024

let check_firmware (block : Block.t) =
  if block.size < tail then return ()
  else
    let* bytes = read block (block.size - tail) tail in
    List.iter (fun (name, from_end, text) ->
      if Field.is_at bytes (tail - from_end) text then
        Unknown.because (f_"a RAID of firmware: %s") name) firmware;
    return ()

let place_0 size = size / 65536 * 65536 - 65536
let place_1_0 size = (size / 512 - 16) / 8 * 8 * 512

let look_0 (block : Block.t) =
  let at = place_0 block.size in
  if at < 0 then return None
  else
    let* s = read block at superblock_size in
    return (version_0 block ~at s)

let look_1 (block : Block.t) first =
  let look (version, at) =
    if at < 0 then return None
    else
      let* s =
        if at + superblock_size > String.length first then
          read block at superblock_size
        else return (String.sub first at superblock_size) in
      version_1 block ~version ~at s in
  map_list look ["1.0", place_1_0 block.size; "1.1", 0; "1.2", 4096]

(* Where a small device ends near its beginning, two places are one. *)
let member block first =
  let* () = check_firmware block in
  let* old = look_0 block in
  let* others = look_1 block first in
  let same a b = a.at = b.at in
  match List.filter_map Fun.id (old :: others) with
  | [] -> return None
  | [member] -> return (Some member)
  | [a; b] when same a b -> return (Some b)
  | _ -> Unknown.because (f_"two MD superblocks")

(* The array *)

(* mdadm takes the number of an array from its name, if that has one and the
   array was made on a host of the same name.  The appliance has none; some may
   have these. *)
let names_of_appliances =
  ["any"; "(none)"; "localhost"; "localhost.localdomain"]

(* The first half of the SHA-1 of each. *)
let hashes_of_appliances = [
  "\xc5\xfe\x02\x00\xd1\xc7\xa5\x13"; "\x3c\x6b\x18\x3d\x34\x8f\x95\x53";
  "\x33\x43\x89\x04\x8b\x87\x2a\x53";
]

(* 5, md5, md/5, as strtoul reads it *)
let is_number name =
  let without prefix name =
    if String.starts_with ~prefix name then
      let length = String.length prefix in
      String.sub name length (String.length name - length)
    else name in
  let digits = without "/" (without "md" (without "/dev/" name)) in
  let is_of_number = function
    | '0'..'9' | '+' | '-' | ' ' | '\t'..'\r' -> true
    | _ -> false in
  digits <> "" && String.for_all is_of_number digits

let has_number { name; home; version; _ } =
  if version = "0.90" then List.mem home hashes_of_appliances
  else
    match String.index_opt name ':' with
    | None -> false
    | Some i ->
       List.mem (String.sub name 0 i) names_of_appliances
       && is_number (String.sub name (i + 1) (String.length name - i - 1))

(* mdadm counts down from there. *)
let first_free = 127
let array_name member =
  if has_number member then
    Unknown.because (f_"an MD array that mdadm may give a number of its own");
  Printf.sprintf "/dev/md%d" first_free

let check_agree a b =
  if (a.version, a.raid_disks, a.size) <> (b.version, b.raid_disks, b.size)
  then Unknown.because (f_"MD members that contradict each other");
  if a.events = b.events && a.roles <> b.roles then
    Unknown.because (f_"MD members that have another view of each other");
  (* mdadm allows a difference of one. *)
  if abs (a.events - b.events) > 1 then
    Unknown.because (f_"MD members of different age")

let numbers members =
  List.filter_map (fun member ->
    match member.role with
    | In_step number -> Some (number, member)
    | Not_in_step -> None) members

(* mdadm --incremental starts an array when all are there that are in step as
   far as the newest superblock knows.  Otherwise it is left to what the
   appliance does later: that of Debian 12 finds its members busy, and does not
   start it. *)
let check_all_there ~newest present =
  if List.length present <> newest.active then
    Unknown.because (f_"an MD array of which members are missing")

(* While a copy is being made, the kernel reads the first that is in step. *)
let best members =
  let newest =
    List.fold_left (fun newest m -> if m.events > newest.events then m
                                    else newest) (List.hd members) members in
  let present = numbers members in
  check_all_there ~newest present;
  let key (number, m) = m.write_mostly, number in
  let candidates =
    List.sort (fun a b -> compare (key a) (key b))
      (List.filter (fun (_, m) -> m.events = newest.events) present) in
  match candidates with
  | [] -> Unknown.because (f_"an MD array without a member that is in step")
  | (_, m) :: _ -> m

let assemble members =
  let first = List.hd members in
  List.iter (check_agree first) members;
  let taken = List.map fst (numbers members) in
  if List.length (List.sort_uniq compare taken) <> List.length taken then
    Unknown.because (f_"two MD members with the same number");
  let best = best members in
  let name = array_name first in
  { Block.name; size = best.size;
    sector_size =
      List.fold_left (fun size m -> max size m.block.Block.sector_size) 512
        members;
    extents =
      Block.part best.block ~offset:best.data_offset ~length:best.size }
