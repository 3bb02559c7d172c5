(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The block devices of a guest, found on the host.
 *)

open Gettext
open Step

type kind =
  | Whole_disk
  | Partition
  | Md_array
  | Logical_volume
  | Mapped

type contents =
  | Luks
  | Physical_volume
  | Md_member
  | Missing
  | Other

type device = { block : Block.t; kind : kind; contents : contents }
type unknown = { where : string; reason : string }

(* A device, and what leads further. *)
type looked = {
  device : device;
  label : Lvm_label.t option;
  member : Md.member option;
}

type t = {
  hardware : looked list;       (* disks, partitions, arrays *)
  opened : looked list;
  logical : looked list;
  doubts : unknown list;        (* about the hardware *)
  later : unknown list;         (* about the rest *)
}

let devices { hardware; opened; logical; _ } =
  List.map (fun looked -> looked.device) (hardware @ logical @ opened)

let unknown { doubts; later; _ } = doubts @ later

type disk = { size : int64; sector_size : int }
type opened = { name : string; size : int64 }

let most_disks = 255

(* Of all disks and of an array.  A guest has some ten. *)
let most_devices = 4096

(* Either of two, in a step: what is not known of one device says nothing of
   others. *)
let try_ (block : Block.t) f =
  recover (fun () ->
    let* found = f () in
    return (Either.Left found))
    (fun reason -> Either.Right { where = block.name; reason })

let try_each f blocks =
  let* found = map_list (fun block -> try_ block (fun () -> f block)) blocks in
  return (List.partition_map Fun.id found)

(* What is in a device *)

let luks = "LUKS\xba\xbe"

let bcache_magic =
  "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81"

(* Rings of uberblocks, a power of two from 1 KiB apart. *)
let zfs_ring = 128 * 1024
let zfs_magic = 0x00ba_b10cL
let zfs_magic_swapped = 0x0cb1_ba00_0000_0000L

let check_zfs block =
  let* ring = read block zfs_ring zfs_ring in
  let has_magic i =
    let word = String.get_int64_le ring (1024 * i) in
    word = zfs_magic || word = zfs_magic_swapped in
  if List.exists has_magic (List.init (zfs_ring / 1024) Fun.id) then
    Unknown.because (f_"a member of a ZFS pool");
  return ()

let of_contents block kind contents =
  { device = { block; kind; contents }; label = None; member = None }

(* The device begins with these bytes, and holds no partitions. *)
let look kind ((block : Block.t), first) =
  let found = of_contents block kind in
  let* member = Md.member block first in
  let is_luks = Field.is_at first 0 luks
  and has_label = Lvm_label.has_label first in
  match member with
  | Some _ -> return { (found Md_member) with member }
  | None when is_luks && has_label ->
     Unknown.because (f_"a LUKS header and an LVM label")
  | None when is_luks -> return (found Luks)
  | None when has_label && Mbr.seems_partitioned first ->
     Unknown.because (f_"a partition table and an LVM label")
  | None when has_label ->
     let* label = Lvm_label.read block first in
     return { (found Physical_volume) with label = Some label }
  | None when Field.is_at first (4096 + 24) bcache_magic ->
     Unknown.because (f_"a device of bcache")
  | None ->
     let* () = check_zfs block in
     return (found Other)

let read_first block =
  let* first = read block 0 Partition_table.head in
  return (block, first)

(* A device that has partitions must not be in an array itself: mdadm would take
   the partitions away.  Superblocks at its end may be those of its last
   partition. *)
let check_no_member (block : Block.t) first partitions =
  let* member = Md.member block first in
  let is_inside member (partition : Partition.t) =
    let at = Md.superblock_offset member in
    at >= partition.start && at < partition.start + partition.length in
  match member with
  | Some member when not (List.exists (is_inside member) partitions) ->
     Unknown.because (f_"a partition table and an MD superblock")
  | Some _ | None -> return ()

(* A disk or an array: its partitions, or itself. *)
let expand kind block =
  let* block, first = read_first block in
  let* partitions = Partition_table.read block first in
  if partitions = [] then return [kind, (block, first)]
  else
    let* () = check_no_member block first partitions in
    map_list (fun partition ->
      let* found = read_first (Partition.block block partition) in
      return (Partition, found)) partitions

(* Each may have MiBs of metadata. *)
let most_volumes = 32

(* [before]: those that have been read; then the first bytes of others. *)
let check_volumes ?(before = 0) firsts =
  let n = List.length (List.filter Lvm_label.has_label firsts) in
  if before + n > most_volumes then
    Failure.error (f_"more than %d physical volumes of LVM") most_volumes

let look_at_all kind blocks =
  let* expanded, doubts = try_each (expand kind) blocks in
  let found = List.concat expanded in
  check_volumes (List.map (fun (_, (_, first)) -> first) found);
  if List.length found > most_devices then
    Failure.error (f_"more than %d partitions") most_devices;
  let look_at (kind, found) =
    try_ (fst found) (fun () -> look kind found) in
  let* looked = map_list look_at found in
  let looked, more = List.partition_map Fun.id looked in
  return (looked, doubts @ more)

(* Arrays *)

let check_not_nested looked =
  List.iter (fun { member; _ } ->
    if member <> None then
      Unknown.because (f_"an MD array in an MD array")) looked

let name_of_array members =
  String.concat ", "
    (List.map (fun member -> (Md.block member).Block.name) members)

(* What is on the only array of these members. *)
let array members =
  let where = name_of_array members in
  recover (fun () ->
    let first = List.hd members in
    if not (List.for_all (Md.same_array first) members) then
      Unknown.because (f_"more than one MD array");
    let* looked, doubts = look_at_all Md_array [Md.assemble members] in
    check_not_nested looked;
    return (looked, doubts))
    (fun reason -> [], [{ where; reason }])

let arrays looked =
  match List.filter_map (fun { member; _ } -> member) looked with
  | [] -> return ([], [])
  | members -> array members

(* Logical volumes *)

let logical_volumes looked =
  let labels = List.filter_map (fun { label; _ } -> label) looked in
  let { Lvm.volumes; unknown } = Lvm.volumes labels in
  let missing, complete =
    List.partition (fun block -> not (Block.is_complete block)) volumes in
  let look_at block =
    let* found = read_first block in
    let* looked = look Logical_volume found in
    if looked.member <> None then
      Unknown.because (f_"an MD array on a logical volume");
    (* LVM does not look for others on them. *)
    return { looked with label = None } in
  let* found, doubts = try_each look_at complete in
  let missing =
    List.map (fun block -> of_contents block Logical_volume Missing) missing in
  let by_name a b = compare a.device.block.name b.device.block.name in
  return
    (List.sort by_name (found @ missing),
     List.map (fun (where, reason) -> { where; reason }) unknown @ doubts)

let order { device = { kind; _ }; _ } =
  match kind with
  | Whole_disk -> 0
  | Partition -> 1
  | Md_array -> 2
  | Logical_volume -> 3
  | Mapped -> 4

let in_order looked =
  List.stable_sort (fun a b -> compare (order a) (order b)) looked

(* Disks *)

let disk_block i { size; sector_size } =
  let name = Block.disk_name i in
  let problem =
    if sector_size <> 512 && sector_size <> 4096 then
      Some (Printf.sprintf (f_"sectors of %d bytes") sector_size)
    else if size < 0L || size >= Int64.of_int Field.far then
      Some (s_"more bytes than can be counted")
    else if Int64.rem size (Int64.of_int sector_size) <> 0L then
      Some (s_"a part of a sector")
    else None in
  match problem with
  | Some reason -> Either.Right { where = name; reason }
  | None ->
     let size = Int64.to_int size in
     Left (Block.whole (Disk i) ~name ~size ~sector_size)

(* A volume group named "mapper" has its volumes where open devices are. *)
let twins looked =
  let names = List.map (fun { device; _ } -> device.block.Block.name) looked in
  let rec loop = function
    | a :: (b :: _ as rest) when a = b ->
       { where = a; reason = s_"there are two devices of this name" }
       :: loop rest
    | _ :: rest -> loop rest
    | [] -> [] in
  loop (List.sort compare names)

let complete hardware doubts opened =
  let* logical, later =
    logical_volumes (hardware @ List.map fst opened) in
  let later =
    List.filter_map snd opened @ later
    @ twins (hardware @ logical @ List.map fst opened) in
  return { hardware; opened = List.map fst opened; logical; doubts; later }

let scan disks =
  if List.length disks > most_disks then
    Failure.error (f_"more than %d disks") most_disks;
  let blocks, odd = List.partition_map Fun.id (List.mapi disk_block disks) in
  let* looked, doubts = look_at_all Whole_disk blocks in
  let* on_arrays, about_arrays = arrays looked in
  complete (in_order (looked @ on_arrays)) (odd @ doubts @ about_arrays) []

(* Open devices have no partitions. *)
let look_at_opened ~before { name; size } =
  if size < 0L || size >= Int64.of_int Field.far then
    Failure.error (f_"%s: has an impossible size") name;
  let block =
    Block.whole (Opened name) ~name ~size:(Int64.to_int size)
      ~sector_size:512 in
  let* found =
    try_ block (fun () ->
      let* found = read_first block in
      check_volumes ~before [snd found];
      let* looked = look Mapped found in
      if looked.member <> None then
        Unknown.because (f_"an MD array in a LUKS device");
      return looked) in
  match found with
  | Left looked -> return (looked, None)
  | Right doubt -> return (of_contents block Mapped Other, Some doubt)

let with_opened { hardware; doubts; _ } opened =
  let by_name (a : opened) (b : opened) = compare a.name b.name in
  let volumes = List.filter (fun { label; _ } -> label <> None) in
  let rec look_at_each looked = function
    | [] -> return (List.rev looked)
    | opened :: rest ->
       let before =
         List.length (volumes hardware @ volumes (List.map fst looked)) in
       let* found = look_at_opened ~before opened in
       look_at_each (found :: looked) rest in
  let* looked = look_at_each [] (List.sort by_name opened) in
  complete hardware doubts looked
