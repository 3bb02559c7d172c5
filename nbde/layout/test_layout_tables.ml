(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Partition tables: those of sfdisk, fdisk, sgdisk and parted, as libblkid
 * (partx) sees them; tables that are damaged, hostile, or of other systems; and
 * mutants.
 *)

open Printf

open Sample

let make_file name size =
  let fd = Unix.openfile name [Unix.O_CREAT; O_TRUNC; O_WRONLY] 0o600 in
  Unix.ftruncate fd size;
  Unix.close fd

(* Run a program that reads commands. *)
let feed program arguments text =
  let channel = open_out "commands" in
  output_string channel text;
  close_out channel;
  let fd = Unix.openfile "commands" [Unix.O_RDONLY] 0 in
  Fun.protect ~finally:(fun () -> Unix.close fd) (fun () ->
    if not (Process.succeeds ~stdin:fd program arguments) then
      failwith (program ^ ": " ^ text))

(* Number, offset and length of each partition, as partx of util-linux says. *)
let partx ?(sector_size = 512) file =
  let text =
    Trial.output "partx"
      ["--sector-size"; string_of_int sector_size; "--bytes"; "--noheadings";
       "--output"; "NR,START,SIZE"; "--show"; file] in
  List.filter_map (fun line ->
    match List.filter ((<>) "") (String.split_on_char ' ' line) with
    | [number; start; size] ->
       Some (sprintf "/dev/sda%s %d+%s" number (512 * int_of_string start) size)
    | _ -> None)
    (String.split_on_char '\n' text)

let found disk =
  let layout = Trial.scan [disk] in
  List.filter_map (fun (device : Layout.device) ->
    match device.kind, device.block.extents with
    | Partition, [{ offset; _ }] ->
       Some (sprintf "%s %d+%d" device.block.name offset device.block.size)
    | _ -> None) (Layout.devices layout)
  @ List.map (fun (unknown : Layout.unknown) -> "? " ^ unknown.reason)
      (Layout.unknown layout)

(* libblkid has the whole extended partition, the kernel one kilobyte of it. *)
let shorten extended line =
  match String.index_opt line '+' with
  | Some i when List.mem (String.sub line 0 (String.index line ' ')) extended ->
     String.sub line 0 i ^ "+1024"
  | _ -> line

let compare_with_partx name ?sector_size ?(extended = []) ~count file =
  let expected = List.map (shorten extended) (partx ?sector_size file) in
  Testing.number (name ^ ": partitions") count (List.length expected);
  Testing.equal name (String.concat "; ") expected
    (found (Trial.of_file ?sector_size file))

let sfdisk name file size script =
  make_file file size;
  (try feed "sfdisk" ["--quiet"; "--no-reread"; file] script
   with Stdlib.Failure _ -> failwith name)

let test_gpt () =
  sfdisk "gpt" "gpt" (32 * mib) "label: gpt\n,1M\n,2M\n,4M\n,\n";
  compare_with_partx "sfdisk, GPT" ~count:4 "gpt";
  sfdisk "holes" "holes" (32 * mib)
    "label: gpt\n5:size=1M\n9:size=2M\n128:size=3M\n";
  compare_with_partx "numbers with holes" ~count:3 "holes";
  make_file "sg" (32 * mib);
  ignore (Trial.output "sgdisk"
            ["-a1"; "-n2:40:80"; "-n1:2048:+3M"; "-n3:0:0"; "sg"]);
  compare_with_partx "sgdisk, not in order" ~count:3 "sg";
  make_file "parted" (32 * mib);
  ignore (Trial.output "parted"
            ["-s"; "parted"; "mklabel"; "gpt"; "mkpart"; "a"; "1MiB"; "5MiB";
             "mkpart"; "b"; "5MiB"; "100%"]);
  compare_with_partx "parted, GPT" ~count:2 "parted";
  make_file "4k" (64 * mib);
  feed "fdisk" ["-b"; "4096"; "4k"]
    "g\nn\n1\n256\n+10M\nn\n7\n\n\nw\n";
  compare_with_partx "sectors of 4096 bytes" ~sector_size:4096 ~count:2 "4k";
  Trial.is_unknown "GPT of another sector size" "the GPT has no signature"
    [Trial.of_file "4k"];
  let random = Random.State.make [| 1 |] in
  for i = 1 to 20 do
    let partitions = 1 + Random.State.int random 12 in
    let line _ =
      sprintf "size=%dK" (64 * (1 + Random.State.int random 30)) in
    let script =
      String.concat "\n" ("label: gpt" :: List.init partitions line) in
    sfdisk "random" "random" (32 * mib) (script ^ "\n");
    compare_with_partx (sprintf "random, %d" i) ~count:partitions "random"
  done

let test_mbr () =
  sfdisk "mbr" "mbr" (32 * mib)
    "label: dos\n,1M\n,2M,L,*\n,4M,S\n,,\n";
  compare_with_partx "sfdisk, MBR" ~count:4 "mbr";
  List.iter (fun kind ->
    sfdisk kind "logical" (32 * mib)
      (sprintf "label: dos\n,1M\n,16M,%s\n,2M\n,\n,1M\n,2M\n,3M\n" kind);
    compare_with_partx ("logical ones in " ^ kind) ~extended:["/dev/sda2"]
      ~count:7 "logical") ["5"; "f"; "85"];
  make_file "parted" (32 * mib);
  ignore (Trial.output "parted"
            ["-s"; "parted"; "mklabel"; "msdos"; "mkpart"; "extended"; "1MiB";
             "100%"; "mkpart"; "logical"; "2MiB"; "5MiB"; "mkpart"; "logical";
             "6MiB"; "100%"]);
  compare_with_partx "parted, MBR" ~extended:["/dev/sda1"] ~count:3 "parted";
  make_file "4k" (64 * mib);
  feed "fdisk" ["-b"; "4096"; "4k"]
    "o\nn\np\n1\n256\n+10M\nn\np\n3\n\n\nw\n";
  compare_with_partx "sectors of 4096 bytes" ~sector_size:4096 ~count:2 "4k"

let mbr entries =
  let disk = Trial.disk (4 * mib) in
  set_entries disk entries;
  disk

let linux start sectors = { kind = 0x83; start; sectors }
let nothing = { kind = 0; start = 0; sectors = 0 }

let finds name expected disk =
  Testing.equal name (String.concat "; ") expected (found disk)

(* The kernel's rules, from block/partitions of Linux. *)
let test_kernel_rules () =
  finds "cut at the end" ["/dev/sda1 4193792+512"; "/dev/sda3 512+1024"]
    (mbr [linux 8191 5000; linux 8192 1; linux 1 2]);
  finds "over each other" ["/dev/sda1 512+2048"; "/dev/sda2 1024+512"]
    (mbr [linux 1 4; linux 2 1]);
  finds "a type of 0 with a length" ["/dev/sda1 512+512"]
    (mbr [{ (linux 1 1) with kind = 0 }]);
  let fat = mbr [linux 1 4] in
  Trial.put fat 446 "\x12";
  finds "a boot sector" [] fat;
  let extended = { kind = 5; start = 100; sectors = 1000 } in
  let chain = mbr [linux 1 4; extended] in
  set_entries chain ~at:(512 * 100)
    [linux 1 10; { kind = 0xf; start = 50; sectors = 100 }; linux 2 20;
     linux 2 2000];
  set_entries chain ~at:(512 * 150) [nothing; linux 3 5];
  finds "entries of OS/2"
    ["/dev/sda1 512+2048"; "/dev/sda2 51200+1024"; "/dev/sda5 51712+5120";
     "/dev/sda6 52224+10240"; "/dev/sda7 78336+2560"] chain;
  let outside = mbr [{ extended with start = 9000 }; linux 1 1] in
  finds "an extended partition that is not there" ["/dev/sda2 512+512"] outside;
  let two = mbr [extended; { extended with start = 2000 }] in
  set_entries two ~at:(512 * 100) [linux 1 1];
  set_entries two ~at:(512 * 2000) [linux 1 2];
  finds "two extended ones"
    ["/dev/sda1 51200+1024"; "/dev/sda2 1024000+1024"; "/dev/sda5 51712+512";
     "/dev/sda6 1024512+1024"] two

let test_hostile () =
  let extended = { kind = 5; start = 100; sectors = 1000 } in
  let circle = mbr [extended] in
  set_entries circle ~at:(512 * 100)
    [linux 1 1; { extended with start = 0 }];
  Trial.is_unknown "a chain in a circle" "too many logical" [circle];
  let empty = mbr [extended] in
  set_entries empty ~at:(512 * 100) [{ extended with start = 0 }];
  Trial.is_unknown "one without partitions" "without end" [empty];
  (* The kernel gives up after 100 links without a partition. *)
  let links n =
    let disk = mbr [extended] in
    for i = 0 to n - 1 do
      set_entries disk ~at:(512 * (100 + i)) [{ extended with start = i + 1 }]
    done;
    set_entries disk ~at:(512 * (100 + n)) [linux 200 8];
    disk in
  Trial.is_unknown "150 links without a partition" "without end" [links 150];
  Trial.is_unknown "100 of them" "without end" [links 100];
  finds "99 of them"
    ["/dev/sda1 51200+1024"; sprintf "/dev/sda5 %d+4096" (512 * (199 + 200))]
    (links 99);
  List.iter (fun (kind, name) ->
    Trial.is_unknown name name [mbr [{ (linux 1 1) with kind }]])
    [0x42, "LDM"; 0x63, "UnixWare"; 0x81, "Minix"; 0xa5, "FreeBSD";
     0xa6, "OpenBSD"; 0xa9, "NetBSD"; 0xbf, "Solaris"; 0xee, "GPT"];
  let swap = mbr [{ (linux 1 100) with kind = 0x82 }] in
  finds "swap" ["/dev/sda1 512+51200"] swap;
  Trial.put32 swap (2 * 512 + 12) 0x600d_deee;
  Trial.is_unknown "not swap" "Solaris" [swap];
  let unknown name word size change =
    let disk = Trial.disk size in
    change disk;
    Trial.is_unknown name word [disk] in
  unknown "half a sector" "part of a sector" (mib + 17) ignore;
  Trial.is_unknown "odd sectors" "sectors of 520 bytes"
    [Trial.disk ~sector_size:520 (520 * 100)];
  unknown "bcache" "bcache" mib (fun disk ->
    Trial.put disk 4120
      "\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81");
  unknown "ZFS" "ZFS" mib (fun disk -> Trial.put64 disk (131 * 1024) 0xbab10c);
  unknown "DDF" "DDF" mib (fun disk ->
    Trial.put disk (mib - 512) "\xde\x11\xde\x11");
  unknown "Intel" "Intel" mib (fun disk ->
    Trial.put disk (mib - 1024) "Intel Raid ISM Cfg Sig. 1.0");
  unknown "AIX" "AIX" mib (fun disk -> Trial.put disk 0 "\xc9\xc2\xd4\xc1");
  unknown "Ultrix" "Ultrix" mib (fun disk ->
    Trial.put disk 16312 "\x57\x29\x03\x00\x01\x00\x00\x00");
  unknown "OSF/1" "OSF/1" mib (fun disk -> Trial.put32 disk 64 0x8256_4557);
  unknown "SYSV68" "SYSV68" mib (fun disk -> Trial.put disk 248 "MOTOROLA");
  unknown "Karma" "Karma" mib (fun disk -> Trial.put16 disk 510 0xab56)

(* Tables of other systems, made by parted. *)
let test_foreign () =
  List.iter (fun (label, name) ->
    make_file "foreign" (64 * mib);
    ignore (Trial.output "parted" ["-s"; "foreign"; "mklabel"; label]);
    (* A table for Atari without partitions is none for the kernel. *)
    if label = "atari" then
      ignore (Trial.output "parted"
                ["-s"; "foreign"; "mkpart"; "primary"; "ext2"; "1MiB";
                 "5MiB"]);
    Trial.is_unknown label name [Trial.of_file "foreign"])
    ["bsd", "OSF/1 or BSD"; "sun", "Sun"; "mac", "Apple"; "amiga", "Amiga";
     "dvh", "SGI"; "atari", "Atari"]

let gpt_disk () =
  sfdisk "gpt" "gpt" (2 * mib) "label: gpt\n,200K\n,300K\n,400K\n";
  Trial.of_file "gpt"

let test_damaged_gpt () =
  let damaged name word change =
    let disk = gpt_disk () in
    change disk;
    Trial.is_unknown name word [disk] in
  let last = 2 * mib - 512 in
  let set at n disk = Trial.put32 disk at n; repair_gpt disk 512 in
  Testing.number "whole" 3 (List.length (found (gpt_disk ())));
  damaged "a checksum" "has a wrong checksum; its backup is whole" (fun disk ->
    Trial.put32 disk (512 + 16) 1);
  damaged "entries" "has entries with a wrong checksum" (fun disk ->
    Trial.put disk (1024 + 1000) "x");
  damaged "a signature" "has no signature" (fun disk ->
    Trial.put disk 512 "EFI PARX");
  damaged "another place" "is for another place" (set (512 + 24) 2);
  damaged "a larger disk" "is for a larger disk" (set (512 + 48) 5000);
  damaged "entries of another size" "entries of another size"
    (set (512 + 84) 256);
  damaged "too many entries" "a GPT with 5000 entries" (set (512 + 80) 5000);
  damaged "no entries" "has no entries" (set (512 + 80) 0);
  damaged "a huge number" "a GPT with 4294967295 entries"
    (set (512 + 80) 0xffff_ffff);
  damaged "no table at all" "the GPT has no signature" (fun disk ->
    Trial.put disk 512 "EFI PARX";
    Trial.put disk last "EFI PARX");
  damaged "a protective MBR that begins elsewhere" "GPT" (fun disk ->
    Trial.put32 disk (446 + 8) 2);
  damaged "a partition backwards" "ends before it begins" (fun disk ->
    Trial.put64 disk (1024 + 40) 10;
    repair_gpt disk 512);
  damaged "LDM" "Windows" (fun disk ->
    Trial.put disk 1024
      "\xaa\xc8\x08\x58\x8f\x7e\xe0\x42\x85\xd2\xe1\xe9\x04\x34\xcf\xb3";
    repair_gpt disk 512);
  let disk = gpt_disk () in
  Trial.put disk last "EFI PARX";
  Testing.number "only the backup is damaged" 3 (List.length (found disk));
  let disk = gpt_disk () in
  Trial.put64 disk (1024 + 128 + 40) 5000;
  repair_gpt disk 512;
  Testing.number "a partition beyond the end" 2 (List.length (found disk));
  let disk = gpt_disk () in
  Trial.put disk 446 (Bytes.sub_string (mbr [linux 1 1]).bytes 446 16);
  Trial.put disk 462 "\000\000\000\000\xee\000\000\000\001\000\000\000\xff\xff";
  Testing.number "a hybrid MBR" 3 (List.length (found disk));
  Trial.put disk 462 (String.make 16 '\000');
  finds "an MBR over a GPT" ["/dev/sda1 512+512"] disk

let test_disks () =
  let names = List.map Block.disk_name [0; 1; 25; 26; 27; 701; 702] in
  Testing.equal "names" (String.concat " ")
    ["/dev/sda"; "/dev/sdb"; "/dev/sdz"; "/dev/sdaa"; "/dev/sdab"; "/dev/sdzz";
     "/dev/sdaaa"] names;
  let whole = Trial.disk mib and empty = Trial.disk 0 in
  Trial.put whole 0 luks;
  let parts = mbr [linux 2048 100; linux 4096 100] in
  (* What was on the disk before it had partitions. *)
  Trial.put parts 0 luks;
  Trial.put parts (2048 * 512) luks;
  Trial.check "whole disks come first"
    ["/dev/sdb disk 1048576 luks sdb:0+1048576";
     "/dev/sdc disk 512 other sdc:0+512";
     "/dev/sda1 partition 51200 luks sda:1048576+51200";
     "/dev/sda2 partition 51200 other sda:2097152+51200"]
    (Trial.scan [parts; whole; Trial.disk 512]);
  Trial.check "an empty disk" ["/dev/sda disk 0 other sda:0+0"]
    (Trial.scan [empty]);
  Testing.fails "too many disks" (fun () ->
    Trial.scan (List.init 256 (fun _ -> empty)));
  (* What cannot be read is an error, not a short answer. *)
  Testing.fails "a disk that is shorter than it says" (fun () ->
    Step.run ~read:(fun _ _ _ -> "x")
      (Layout.scan [{ size = 1048576L; sector_size = 512 }]))

let test_mutants () =
  let disk = gpt_disk () in
  let size = Bytes.length disk.bytes in
  Trial.mutate "GPT" 10_000
    { disks = [disk];
      places = [0, 0, 512; 0, 512, 92; 0, 1024, 512; 0, size - 512, 92];
      change = ignore;
      repair = (fun () -> repair_gpt disk 512; repair_gpt disk (size - 512)) }
  |> prerr_endline;
  let extended = { kind = 5; start = 100; sectors = 7000 } in
  let disk = mbr [linux 1 50; extended; linux 7200 100] in
  List.iter (fun i ->
    set_entries disk ~at:(512 * (100 + 1000 * i))
      [linux 1 500; { extended with start = 1000 * (i + 1) }]) [0; 1; 2; 3];
  Trial.mutate "MBR" 10_000
    { disks = [disk];
      places =
        (0, 440, 72)
        :: List.init 4 (fun i -> 0, 512 * (100 + 1000 * i) + 440, 72);
      change = ignore; repair = ignore }
  |> prerr_endline

let () =
  test_gpt ();
  test_mbr ();
  test_kernel_rules ();
  test_hostile ();
  test_foreign ();
  test_damaged_gpt ();
  test_disks ();
  test_mutants ();
  Testing.finish ()
