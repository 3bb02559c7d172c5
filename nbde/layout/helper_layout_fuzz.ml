(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Mutants of disks for a while, other ones each time:
 *
 *   helper_layout_fuzz [--planted] SECONDS [SEED]
 *
 * prints its seed.  With --planted, the layout is told that disks are longer
 * than they are: a read outside of one must be found.
 *)

open Printf

open Sample

let linux start sectors = { kind = 0x83; start; sectors }

let mbr () =
  let disk = Trial.disk (4 * mib) in
  let extended = { kind = 5; start = 100; sectors = 7000 } in
  set_entries disk [linux 1 50; extended; linux 7200 100];
  let at i = 512 * (100 + 1000 * i) in
  List.iter (fun i ->
    set_entries disk ~at:(at i)
      [linux 1 500; { extended with start = 1000 * (i + 1) }]) [0; 1; 2; 3];
  { Trial.disks = [disk]; change = ignore; repair = ignore;
    places = (0, 440, 72) :: List.init 4 (fun i -> 0, at i + 440, 72) }

let gpt sector_size =
  let disk = Trial.disk ~sector_size (4 * mib) in
  set_gpt disk [linux 40 100; linux 200 300; linux 600 100];
  { Trial.disks = [disk]; change = ignore;
    repair = (fun () -> repair_gpt disk sector_size);
    places = [0, 440, 72; 0, sector_size, 92; 0, 2 * sector_size, 512] }

(* Two members with a volume group in the array. *)
let lvm_on_md () =
  let length = 8 * mib in
  let member number =
    let pv = Trial.disk pv_size in
    write_label pv "pv0";
    write_text pv
      (group ~pvs:["pv0"]
         [lv "a" [{ pv = "pv0"; from = 1; count = 3 };
                  { pv = "pv0"; from = 9; count = 2 }];
          lv "b" [{ pv = "pv0"; from = 20; count = 1 }]]);
    let disk = Trial.disk length in
    write_1 disk 4096
      { superblock with
        number; size = pv_size / 512; data_size = pv_size / 512 };
    Trial.put disk mib (Bytes.to_string pv.bytes);
    disk in
  let disks = [member 0; member 1] in
  let text = mib + area_at + 512 in
  let text_length =
    Int64.to_int
      (Bytes.get_int64_le (List.hd disks).bytes (mib + area_at + 48)) in
  let sum disk at length =
    Checksum.lvm (Bytes.sub_string disk.Trial.bytes at length) in
  let repair disk =
    repair_1 disk 4096;
    let area = mib + area_at and label = mib + label_at in
    Trial.put32 disk (area + 56) (sum disk text text_length);
    Trial.put32 disk area (sum disk (area + 4) 508);
    Trial.put32 disk (label + 16) (sum disk (label + 20) 492) in
  let places i =
    [i, 4096, 264; i, mib + label_at, 192; i, mib + area_at, 512;
     i, text, text_length; i, text, text_length] in
  { Trial.disks; change = ignore; places = places 0 @ places 1;
    repair = (fun () -> List.iter repair disks) }

let md_0 () =
  let disk = Trial.disk (4 * mib) in
  let at = 4 * mib - 65536 in
  write_0 disk at { superblock with roles = [0; 0xfffe] };
  { Trial.disks = [disk]; change = ignore;
    repair = (fun () -> repair_0 disk at);
    places = [0, at, 256; 0, at + 512, 64; 0, at + 3968, 32] }

let targets = [
  "MBR", mbr; "GPT", (fun () -> gpt 512);
  "GPT, sectors of 4096 bytes", (fun () -> gpt 4096);
  "MD 0.90", md_0; "LVM on MD", lvm_on_md;
]

let each = 2000

let run ~until first =
  let rec loop seed =
    if Unix.gettimeofday () < until then (
      List.iter (fun (name, make) ->
        ignore (Trial.mutate ~seed (sprintf "%s, seed %d" name seed) each
                  (make ()))) targets;
      loop (seed + 1)
    ) in
  loop first

let () =
  let arguments = List.tl (Array.to_list Sys.argv) in
  let planted, arguments = List.partition ((=) "--planted") arguments in
  Trial.longer := if planted = [] then 0 else 4096;
  let seconds, seed =
    match List.map int_of_string arguments with
    | [seconds] -> seconds, int_of_float (Unix.time ())
    | [seconds; seed] -> seconds, seed
    | _ -> failwith "helper_layout_fuzz [--planted] SECONDS [SEED]" in
  printf "seed %d\n%!" seed;
  run ~until:(Unix.gettimeofday () +. float seconds) seed;
  Testing.finish ()
