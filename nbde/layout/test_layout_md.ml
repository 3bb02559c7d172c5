(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * RAID1: superblocks that are written here, and read by mdadm --examine and by
 * libblkid as well; members that are missing, old, or contradict each other;
 * and mutants.
 *)

open Printf

open Sample

let example = superblock

(* Of an array that knows that it has no other member. *)
let alone = { superblock with roles = [0; 0xfffe] }

let size = 4 * mib

type version = V0_90 | V1_0 | V1_1 | V1_2

let version_name = function
  | V0_90 -> "0.90" | V1_0 -> "1.0" | V1_1 -> "1.1" | V1_2 -> "1.2"

let place = function
  | V0_90 -> size - 65536
  | V1_0 -> size - 8192
  | V1_1 -> 0
  | V1_2 -> 4096

let data_offset = function V0_90 | V1_0 -> 0 | V1_1 | V1_2 -> 2048

(* A member of such an array, on a whole disk; its data are LUKS. *)
let member ?(version = V1_2) ?(size = size) s =
  let disk = Trial.disk size in
  let s = { s with data_offset = data_offset version } in
  (if version = V0_90 then write_0 else write_1) disk (place version) s;
  Trial.put disk (512 * s.data_offset) luks;
  disk

let lines text = String.split_on_char '\n' text

let has text part =
  List.exists (fun line ->
    String.concat " "
      (List.filter ((<>) "") (String.split_on_char ' ' line)) = part)
    (lines text)

(* mdadm and libblkid see what we see. *)
let test_versions () =
  List.iter (fun version ->
    let name = version_name version in
    let disk = member ~version example in
    Trial.to_file name disk;
    let text = Trial.output "mdadm" ["--examine"; name] in
    let offset = data_offset version in
    let says part =
      Testing.is_true (name ^ ": mdadm: " ^ part) (has text part) in
    says (if version = V0_90 then "Version : 0.90.00"
          else if version = V1_0 then "Version : 1.0"
          else "Version : " ^ name);
    says "Raid Level : raid1";
    says "Raid Devices : 2";
    if version <> V0_90 then (
      says (sprintf "Super Offset : %d sectors" (place version / 512));
      says "Device Role : Active device 0"
    );
    Testing.is_true (name ^ ": mdadm: its checksum")
      (List.exists (fun line ->
         String.length line > 7
         && Testing.contains line "Checksum" && Testing.contains line "correct")
         (lines text));
    let blkid =
      Trial.output "blkid" ["-p"; "-o"; "export"; name] in
    Testing.is_true (name ^ ": blkid: a member")
      (has blkid "TYPE=linux_raid_member");
    Testing.is_true (name ^ ": blkid: its version")
      (List.exists (String.starts_with ~prefix:("VERSION=" ^ name))
         (lines blkid));
    let other = member ~version { example with number = 1 } in
    Trial.check name
      ["/dev/sda disk 4194304 member sda:0+4194304";
       "/dev/sdb disk 4194304 member sdb:0+4194304";
       sprintf "/dev/md127 array 2097152 luks sda:%d+2097152" (512 * offset)]
      (Trial.scan [disk; other]);
    Trial.check (name ^ ", degraded")
      ["/dev/sda disk 4194304 member sda:0+4194304";
       sprintf "/dev/md127 array 2097152 luks sda:%d+2097152" (512 * offset)]
      (Trial.scan [member ~version alone]);
    Trial.is_unknown (name ^ ", a member is missing") "members are missing"
      [other])
    [V0_90; V1_0; V1_1; V1_2]

let other = { example with number = 1 }

let reads_from name expected disks =
  let layout = Trial.scan disks in
  let found =
    List.find_map (fun (device : Layout.device) ->
      match device.kind, device.block.extents with
      | Md_array, [{ source = Disk i; _ }] -> Some i
      | _ -> None) (Layout.devices layout) in
  if found = Some expected && Layout.unknown layout = [] then
    Testing.is_true name true
  else Testing.text name (Block.disk_name expected)
         (String.concat "; " (Trial.show layout))

let test_members () =
  reads_from "in step" 1 [member other; member example];
  reads_from "one event ahead" 1
    [member example; member { other with events = 18 }];
  reads_from "write mostly" 1 [member { example with flags = 1 }; member other];
  let roles = [0xfffe; 1; 0xffff] in
  reads_from "a spare" 1
    [member { example with number = 2; roles }; member { other with roles }];
  reads_from "a bitmap" 0 [member { alone with features = 1 }]

let test_unknown () =
  let unknown name word disks = Trial.is_unknown name word disks in
  unknown "two arrays" "more than one"
    [member example; member { other with uuid = "another one-----" }];
  unknown "RAID5" "level 5" [member { example with level = 5 }];
  unknown "linear" "level -1" [member { example with level = -1 }];
  unknown "RAID5, 0.90" "level 5"
    [member ~version:V0_90 { example with level = 5 }];
  unknown "being rebuilt" "feature 0x2"
    [member { example with features = 2 }; member other];
  unknown "a reshape" "feature 0x4" [member { example with features = 4 }];
  unknown "a journal" "feature 0x200"
    [member { example with features = 0x201 }];
  unknown "no member in step" "in step"
    [member { example with roles = [0xfffe; 0xffff] }];
  unknown "a number outside" "missing" [member { example with number = 9 }];
  unknown "old" "different age"
    [member example; member { other with events = 40 }];
  unknown "the same number" "same number" [member example; member example];
  unknown "split" "another view"
    [member { example with roles = [0; 0xfffe] };
     member { other with roles = [0xfffe; 1] }];
  unknown "another size" "contradict"
    [member example; member { other with size = 2048 }];
  unknown "too large" "larger device" [member { example with size = 10000 }];
  unknown "overflow" "larger device"
    [member { example with size = 1 lsl 55; data_size = 1 lsl 56 }];
  unknown "less data than size" "contradicts itself"
    [member { example with data_size = 100 }];
  List.iter (fun name ->
    unknown name "number of its own" [member { alone with name }])
    ["any:0"; "(none):md3"; "localhost:/dev/md/1"];
  reads_from "a name without a number" 0
    [member { alone with name = "(none):root" }];
  reads_from "of another host" 0 [member { alone with name = "guest:5" }];
  reads_from "of no host" 0 [member { alone with name = "5" }];
  let any = "0123\xff\xff\xff\xff\xc5\xfe\x02\x00\xd1\xc7\xa5\x13" in
  unknown "0.90 of any host" "number of its own"
    [member ~version:V0_90 { alone with uuid = any }];
  let damaged = member example in
  Trial.put damaged (4096 + 100) "x";
  unknown "a checksum" "wrong checksum" [damaged];
  let damaged = member ~version:V0_90 example in
  Trial.put damaged (size - 65536 + 2000) "x";
  unknown "a checksum, 0.90" "wrong checksum" [damaged];
  let newer = member ~version:V0_90 example in
  Trial.put32 newer (size - 65536 + 8) 91;
  unknown "0.91" "version 0.91" [newer];
  let swapped = member ~version:V0_90 example in
  Trial.put swapped (size - 65536) "\xa9\x2b\x4e\xfc";
  unknown "another byte order" "byte order" [swapped];
  let two = member example in
  write_1 two (place V1_0) example;
  unknown "two superblocks" "two MD superblocks" [two];
  let bad = { alone with features = 8 } in
  let with_log log =
    let disk = member bad in
    Trial.put16 disk (4096 + 186) 1;
    Trial.put32 disk (4096 + 188) 8;
    Trial.put disk (8192) log;
    repair_1 disk 4096;
    disk in
  unknown "bad blocks" "bad blocks" [with_log (String.make 8 '\001')];
  reads_from "no bad blocks" 0 [with_log (String.make 512 '\xff')]

(* mdadm goes by the places that superblocks name. *)
let test_places () =
  let moved = member example in
  Trial.put64 moved (4096 + 144) 0;
  repair_1 moved 4096;
  Trial.check "it says that it is elsewhere"
    ["/dev/sda disk 4194304 other sda:0+4194304"] (Trial.scan [moved]);
  Testing.is_true "mdadm does not take it"
    (Trial.to_file "moved" moved;
     not (Process.succeeds "mdadm" ["--examine"; "moved"]))

let set_partition disk ~at i ~start ~sectors =
  Trial.put16 disk (at + 510) 0xaa55;
  let at = at + 446 + 16 * i in
  Trial.put disk (at + 4) "\xfd";
  Trial.put32 disk (at + 8) start;
  Trial.put32 disk (at + 12) sectors

(* On partitions, the last of which ends with the disk; with partitions in the
   array; with LVM in it, see test_layout_lvm. *)
let test_partitions () =
  let on_partition version s =
    let inner = member ~version s in
    let disk = Trial.disk (mib + size) in
    Trial.put disk mib (Bytes.to_string inner.Trial.bytes);
    set_partition disk ~at:0 0 ~start:2048 ~sectors:(size / 512);
    disk in
  List.iter (fun version ->
    let offset = mib + 512 * data_offset version in
    Trial.check ("on partitions: " ^ version_name version)
      ["/dev/sda1 partition 4194304 member sda:1048576+4194304";
       "/dev/sdb1 partition 4194304 member sdb:1048576+4194304";
       sprintf "/dev/md127 array 2097152 luks sda:%d+2097152" offset]
      (Trial.scan [on_partition version example; on_partition version other]))
    [V0_90; V1_0; V1_1; V1_2];
  let partitioned version =
    let disk = member ~version alone in
    let start = 512 * data_offset version in
    Trial.put disk start (String.make 512 '\000');
    set_partition disk ~at:start 0 ~start:8 ~sectors:100;
    set_partition disk ~at:start 1 ~start:108 ~sectors:4000;
    Trial.put disk (start + 512 * 108) luks;
    disk in
  Trial.check "partitions in it"
    ["/dev/sda disk 4194304 member sda:0+4194304";
     "/dev/md127p1 partition 51200 other sda:1052672+51200";
     "/dev/md127p2 partition 2041856 luks sda:1103872+2041856"]
    (Trial.scan [partitioned V1_2]);
  Trial.is_unknown "partitions over it" "partition table and an MD superblock"
    [partitioned V1_0];
  let nested = member alone in
  let inner = Trial.disk (2 * mib) in
  write_1 inner 4096 { example with size = 100; data_size = 100 };
  Trial.put nested mib (Bytes.to_string inner.bytes);
  Trial.is_unknown "an array in it" "an MD array in an MD array" [nested]

let test_mutants () =
  let repair_if_right = function
    | V0_90 -> repair_0
    | V1_0 | V1_1 | V1_2 -> repair_1 in
  List.iter (fun version ->
    let disks = [member ~version example; member ~version other] in
    let at = place version in
    let places =
      List.concat_map (fun i -> [i, at, 256; i, at + 64, 160; i, at + 248, 32])
        [0; 1]
      @ (if version = V0_90 then
           List.map (fun i -> i, at + 512, 64) [0; 1]
           @ List.map (fun i -> i, at + 3968, 32) [0; 1]
         else []) in
    Trial.mutate ("MD " ^ version_name version) 10_000
      { disks; places; change = ignore;
        repair = (fun () ->
          List.iter (fun disk -> repair_if_right version disk at) disks) }
    |> prerr_endline)
    [V0_90; V1_0; V1_1; V1_2]

let () =
  test_versions ();
  test_members ();
  test_unknown ();
  test_places ();
  test_partitions ();
  test_mutants ();
  Testing.finish ()
