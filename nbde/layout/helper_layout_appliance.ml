(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Is what the layout says what the appliance sees?
 *
 *   helper_layout_appliance tables | arrays | old-arrays | FILE...
 *
 * makes disks in the current folder, or takes those of these files, and
 * compares names, sizes and first bytes of all devices.  Of partition tables,
 * there are many mutants of which the layout says that it knows them.
 *)

open Printf

open Sample

(* Mutants *)

(* Of many, those that are known and have a layout of their own. *)
let change random disk places =
  let number = Random.State.int random in
  let offset, length = List.nth places (number (List.length places)) in
  let at = offset + number length in
  match number 3 with
  | 0 -> Trial.put disk at (String.make 1 (Char.chr (number 256)))
  | 1 -> Trial.put16 disk (at land lnot 3) (number 6000)
  | _ -> Trial.put32 disk (at land lnot 3) (number 9000)

let most_tries = 100_000

let known_mutants count random make places =
  let rec loop found tries =
    if List.length found = count || tries = 0 then List.map snd found
    else
      let disk = make () in
      for _ = 0 to Random.State.int random 3 do
        change random disk places
      done;
      if Random.State.int random 4 <> 0 then
        repair_gpt disk disk.Trial.sector_size;
      let layout = Trial.scan [disk] in
      let shown = Trial.show layout in
      if Layout.unknown layout = [] && not (List.mem_assoc shown found) then
        loop ((shown, disk) :: found) (tries - 1)
      else loop found (tries - 1) in
  loop [] most_tries

let linux start sectors = { kind = 0x83; start; sectors }

let mbr () =
  let disk = Trial.disk (4 * mib) in
  let extended = { kind = 5; start = 100; sectors = 7000 } in
  set_entries disk [linux 1 50; extended; linux 7200 100];
  List.iter (fun i ->
    set_entries disk ~at:(512 * (100 + 1000 * i))
      ([linux 1 500] @ if i < 3 then [{ extended with start = 1000 * (i + 1) }]
                       else []))
    [0; 1; 2; 3];
  disk

let mbr_places =
  (446, 66) :: List.init 4 (fun i -> 512 * (100 + 1000 * i) + 446, 66)

let gpt ?sector_size () =
  let disk = Trial.disk ?sector_size (4 * mib) in
  set_gpt disk [linux 40 100; linux 200 300; linux 600 100];
  disk

let gpt_places sector = [440, 72; sector, 92; 2 * sector, 640]

let tables () =
  let random = Random.State.make [| 7 |] in
  known_mutants 25 random mbr mbr_places
  @ known_mutants 25 random (fun () -> gpt ()) (gpt_places 512)
  @ known_mutants 5 random (fun () -> gpt ~sector_size:4096 ())
      (gpt_places 4096)

(* Arrays and volumes *)

let lvm ?(name = "vg") ~pvs lvs pv =
  let disk = Trial.disk pv_size in
  write_label disk pv;
  write_text disk (group ~name ~pvs lvs);
  disk

let at pv from count = { pv; from; count }

(* A degraded array with a volume group in it; a group that lacks a physical
   volume. *)
let arrays () =
  let in_array =
    lvm ~name:"on-array" ~pvs:["pv0"]
      [lv "one" [at "pv0" 1 3]; lv "two" [at "pv0" 9 2; at "pv0" 5 1]] "pv0" in
  Trial.put in_array (data_at + 64 * kib) "one of the array";
  let member = Trial.disk (mib + pv_size) in
  write_1 member 4096
    { superblock with
      size = pv_size / 512; data_size = pv_size / 512; roles = [0; 0xfffe] };
  Trial.put member mib (Bytes.to_string in_array.Trial.bytes);
  let part =
    lvm ~name:"part" ~pvs:["pv1"; "pv2"]
      [lv "whole" [at "pv1" 3 3]; lv "half" [at "pv1" 0 1; at "pv2" 0 1];
       lv "gone" [at "pv2" 2 2]; lv "a.b-c" [at "pv1" 10 1];
       lv "skipped" ~flags:{|"ACTIVATION_SKIP"|} [at "pv1" 20 1]] "pv1" in
  Trial.put part (data_at + 3 * 64 * kib) "whole of the group";
  let label_only = Trial.disk pv_size in
  write_label label_only "pv9";
  Trial.put label_only (label_at + 32 + 72) (String.make 16 '\000');
  repair_label label_only;
  [Trial.disk (64 * kib); member; part; label_only]

(* Version 0.90 on the last partitions of two disks, with partitions in it. *)
let old_arrays () =
  let array number =
    let disk = Trial.disk (4 * mib) in
    set_entries disk [linux 8 100; linux 2048 1000];
    Trial.put disk (8 * 512) "first in the array";
    Trial.put disk (2048 * 512) "second in the array";
    write_0 disk (4 * mib - 65536)
      { superblock with number; size = (4 * mib - 65536) / 512 };
    let outer = Trial.disk (5 * mib) in
    Trial.put outer mib (Bytes.to_string disk.Trial.bytes);
    set_entries outer [linux 63 100; { (linux 2048 8192) with kind = 0xfd }];
    outer in
  [array 0; array 1]

(* What the appliance says *)

(* Writable, as the tool adds its overlays. *)
let add (g : Guestfs.guestfs) i disk =
  let name = Files.absolute (sprintf "appliance-%d.img" i) in
  Trial.to_file name disk;
  g#add_drive ~readonly:false ~format:"raw" ~blocksize:disk.Trial.sector_size
    name

(* A line for a device: name, size, checksum of its first bytes, or "-" if it
   cannot be read.  The names are those of libguestfs: the kernel may have
   others, if it finds many disks in another order. *)
let length = 512

let look (g : Guestfs.guestfs) name =
  match g#blockdev_getsize64 name with
  | size ->
     let length = Int64.to_int (min size (Int64.of_int length)) in
     sprintf "%s %Ld %s" name size
       (Digest.to_hex (Digest.string (g#pread_device name length 0L)))
  | exception Guestfs.Error _ -> name ^ " -"

(* Digits come after its name, or a p and digits. *)
let is_partition_of name partition =
  let length = String.length name in
  let is_of_number c = c = 'p' || (c >= '0' && c <= '9') in
  String.starts_with ~prefix:name partition
  && String.length partition > length
  && String.for_all is_of_number
       (String.sub partition length (String.length partition - length))

let appliance disks =
  let g = new Guestfs.guestfs () in
  Fun.protect ~finally:g#close (fun () ->
    List.iteri (add g) disks;
    g#launch ();
    let partitions = Array.to_list (g#list_partitions ())
    and arrays = Array.to_list (g#list_md_devices ())
    and devices = Array.to_list (g#list_devices ())
    and lvs = Array.to_list (g#lvs ()) in
    let is_whole name =
      not (List.exists (fun partition -> is_partition_of name partition)
             partitions) in
    List.map (look g)
      (List.filter is_whole devices @ partitions
       @ List.filter is_whole arrays @ lvs))

(* What we say *)

let first_bytes disks (block : Block.t) =
  let length = min length block.size in
  Trial.step disks (Step.read block 0 length)

let line disks ({ block; contents; _ } : Layout.device) =
  if contents = Missing then block.name ^ " -"
  else
    sprintf "%s %d %s" block.name block.size
      (Digest.to_hex (Digest.string (first_bytes disks block)))

let ours disks =
  let layout = Trial.scan disks in
  List.iter (fun (unknown : Layout.unknown) ->
    Testing.text "known" "" (unknown.where ^ ": " ^ unknown.reason))
    (Layout.unknown layout);
  List.map (line disks) (Layout.devices layout)

let compare_lines name expected found =
  let lacks lines other =
    List.filter (fun line -> not (List.mem line other)) lines in
  Testing.equal (name ^ ": only in the appliance") (String.concat "; ") []
    (lacks expected found);
  Testing.equal (name ^ ": only in the layout") (String.concat "; ") []
    (lacks found expected);
  Testing.equal (name ^ ": the order") (String.concat "; ") expected found;
  printf "%s: %d devices\n" name (List.length expected)

let run name disks = compare_lines name (appliance disks) (ours disks)

let () =
  (match List.tl (Array.to_list Sys.argv) with
   | ["tables"] -> run "tables" (tables ())
   | ["arrays"] -> run "arrays" (arrays ())
   | ["old-arrays"] -> run "old-arrays" (old_arrays ())
   | files -> run "files" (List.map Trial.of_file files));
  Testing.finish ()
