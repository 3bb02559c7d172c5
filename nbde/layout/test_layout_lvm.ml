(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * LVM2: volume groups of lvm itself, as lvs lists them (where loop devices can
 * be had: that takes root), labels and texts that are written here, and read by
 * pvck as well; what is missing, damaged, or not understood; and mutants.
 *)

open Printf

open Sample

let size = pv_size

let pv ?offset name text =
  let disk = Trial.disk size in
  write_label disk name;
  write_text ?offset disk text;
  disk

let example_lvs = [
  lv "root" [{ pv = "pv0"; from = 2; count = 3 };
             { pv = "pv1"; from = 0; count = 4 }];
  lv "data" [{ pv = "pv1"; from = 10; count = 1 }];
  lv "home-1" [{ pv = "pv0"; from = 40; count = 8 }];
  lv "skipped" ~flags:{|"ACTIVATION_SKIP"|}
    [{ pv = "pv0"; from = 7; count = 1 }];
]
let example = group ~pvs:["pv0"; "pv1"] example_lvs

let disks_of ?offset text =
  let disks = [pv ?offset "pv0" text; pv ?offset "pv1" text] in
  Trial.put (List.hd disks) (data_at + 2 * 64 * kib) luks;
  disks

let whole i = sprintf "/dev/sd%c disk 4194304 pv sd%c:0+4194304" i i

let data = "/dev/vg/data volume 65536 other sdb:1703936+65536"
let home = "/dev/vg/home-1 volume 524288 other sda:3670016+524288"
let root =
  "/dev/vg/root volume 458752 luks sda:1179648+196608 sdb:1048576+262144"

let test_written () =
  Trial.check "two physical volumes" [whole 'a'; whole 'b'; data; home; root]
    (Trial.scan (disks_of example));
  Trial.check "a ring" [whole 'a'; whole 'b'; data; home; root]
    (Trial.scan (disks_of ~offset:(area_size - 512) example));
  Trial.check "a physical volume is missing"
    [whole 'a'; "/dev/vg/data volume 65536 missing";
     "/dev/vg/home-1 volume 524288 missing";
     "/dev/vg/root volume 458752 missing"]
    (Trial.scan [List.hd (disks_of example)]);
  let bare = Trial.disk size in
  write_label bare "pv1";
  Trial.put bare (label_at + 32 + 72) (String.make 16 '\000');
  Trial.put64 bare (label_at + 32 + 88) 0x1_0000_0002;
  repair_label bare;
  Trial.check "one without metadata" [whole 'a'; whole 'b'; data; home; root]
    (Trial.scan [List.hd (disks_of example); bare]);
  let ignored = List.nth (disks_of example) 1 in
  Trial.put32 ignored (area_at + 60) 1;
  repair_area ignored;
  Trial.check "metadata to be ignored" [whole 'a'; whole 'b'; data; home; root]
    (Trial.scan [List.hd (disks_of example); ignored]);
  Trial.check "no group" ["/dev/sda disk 4194304 pv sda:0+4194304"]
    (Trial.scan [bare])

(* pvck takes our labels, areas and checksums for those of LVM. *)
let test_pvck () =
  List.iter (fun offset ->
    Trial.to_file "pv" (List.hd (disks_of ~offset example));
    let headers = Trial.output "pvck" ["--dump"; "headers"; "pv"] in
    Testing.is_true "no complaint of pvck"
      (not (Testing.contains headers "CHECK")
       && Testing.contains headers "LABELONE");
    let text = Trial.output "pvck" ["--dump"; "metadata"; "pv"] in
    let strip text =
      List.filter ((<>) "") (String.split_on_char '\n' text) in
    let found =
      List.filter (fun line ->
        not (String.starts_with ~prefix:"  " line)) (strip text) in
    Testing.equal "the text" (String.concat "\n") (strip example) found)
    [512; area_size - 512]

let test_unknown () =
  let unknown name word text = Trial.is_unknown name word (disks_of text) in
  let replace from into =
    if not (Testing.contains example from) then failwith from;
    Str.replace_first (Str.regexp_string from) into example in
  unknown "striped" "striped" (replace "stripe_count = 1" "stripe_count = 2");
  List.iter (fun kind ->
    unknown kind ("type " ^ kind)
      (replace {|type = "striped"|} (sprintf "type = %S" kind)))
    ["thin"; "thin-pool"; "cache"; "cache-pool"; "writecache"; "snapshot";
     "mirror"; "raid1"; "vdo"; "error"; "zero"; "integrity"];
  List.iter (fun status ->
    unknown status status
      (replace {|"READ", "WRITE", "VISIBLE"|}
         (sprintf {|"READ", "VISIBLE", "%s"|} status)))
    ["PVMOVE"; "LOCKED"; "CONVERTING"];
  unknown "hidden" "hidden"
    (replace {|"READ", "WRITE", "VISIBLE"|} {|"READ", "WRITE"|});
  unknown "no automatic activation" "NOAUTOACTIVATE"
    (group ~pvs:["pv0"; "pv1"]
       [lv "a" ~flags:{|"NOAUTOACTIVATE"|}
          [{ pv = "pv0"; from = 0; count = 1 }]]);
  unknown "exported" "EXPORTED"
    (replace {|["RESIZEABLE"|} {|["EXPORTED", "RESIZEABLE"|});
  unknown "of another host" "system_id"
    (group ~extra:"system_id = \"h\"\n" ~pvs:["pv0"; "pv1"] example_lvs);
  unknown "shared" "lock_type"
    (group ~extra:"lock_type = \"sanlock\"\n" ~pvs:["pv0"; "pv1"] example_lvs);
  unknown "a missing flag" "MISSING"
    (replace "flags = []\ndev_size" "flags = [\"MISSING\"]\ndev_size");
  unknown "a gap" "gaps" (replace "start_extent = 3" "start_extent = 4");
  unknown "two on an extent" "over each other"
    (replace "\"pv0\", 40" "\"pv0\", 4");
  unknown "another format" "another format" (replace "\"lvm2\"" "\"lvm1\"");
  unknown "a name that is not known" "the name metadata_copy"
    (replace "metadata_copies" "metadata_copy");
  unknown "half of its birth" "without creation_host"
    (replace "creation_host = \"h\\\"\\\\\"\n" "");
  unknown "an overlap" "gaps" (replace "start_extent = 3" "start_extent = 2");
  unknown "beyond its physical volume" "outside"
    (replace "\"pv0\", 40" "\"pv0\", 41");
  unknown "beyond its device" "too short"
    (Str.global_replace (Str.regexp "\npe_count = [0-9]+") "\npe_count = 99999"
       (replace "\"pv0\", 40" "\"pv0\", 44"));
  unknown "no such physical volume" "outside"
    (replace "\"pv0\", 40" "\"pv9\", 40");
  unknown "too many segments" "segments"
    (replace "segment_count = 2" "segment_count = 100000");
  unknown "fewer segments" "without segment3"
    (replace "segment_count = 2" "segment_count = 3");
  unknown "huge extents" "too large"
    (replace "extent_size = 128" "extent_size = 999999999999999999");
  unknown "a long number" "cannot be read"
    (replace "extent_size = 128" "extent_size = 9999999999999999999");
  unknown "a bad UUID" "UUID that LVM"
    (replace "id = \"lvroot" "id = \"lv-.oot");
  unknown "a short UUID" "UUID that LVM" (replace "id = \"lvroot" "id = \"lv");
  unknown "a bad name" "name that LVM" (replace "vg {" "-vg {");
  unknown "a name that leaves /dev" "name that LVM" (replace "vg {" ".. {");
  unknown "a name twice" "cannot be read" (replace "max_lv" "seqno");
  unknown "an open end" "cannot be read" (replace "}\n# Gen" "\n# Gen");
  unknown "another version" "another version"
    (replace "version = 1" "version = 2");
  unknown "deep" "cannot be read"
    (replace "max_lv = 0" ("a = " ^ String.make 1000 '['));
  let damage name word at text =
    let disks = disks_of example in
    Trial.put (List.hd disks) at text;
    Trial.is_unknown name word disks in
  damage "the label" "damaged LVM label" (label_at + 100) "x";
  damage "its type" "damaged LVM label" (label_at + 24) "LVM3";
  damage "the area" "metadata area" (area_at + 100) "x";
  damage "the text" "wrong checksum" (area_at + 512 + 100) "\001";
  damage "two labels" "damaged LVM label" 1024 "LABELONE";
  damage "LUKS as well" "LUKS header and an LVM label" 0 luks;
  damage "an empty partition table" "partition table and an LVM label" 440
    (String.make 18 '\000' ^ "\001" ^ String.make 51 '\001' ^ "\x55\xaa");
  let unused = disks_of example in
  Trial.put32 (List.hd unused) (label_at + 32 + 108) 0;
  repair_label (List.hd unused);
  Trial.is_unknown "not marked as used" "not marked" unused;
  let long = disks_of example in
  Trial.put64 (List.hd long) (area_at + 48) (2 * mib);
  repair_area (List.hd long);
  Trial.is_unknown "a long text" "metadata of 2097152 bytes" long;
  let two = disks_of example in
  Trial.is_unknown "a copy of a disk" "two physical volumes with its UUID"
    (two @ [List.hd two]);
  Trial.is_unknown "another text" "contradict each other"
    [pv "pv0" example; pv "pv1" (replace "seqno = 3" "seqno = 4")];
  Trial.is_unknown "two groups of a name" "contradict each other"
    [pv "pv0" (group ~pvs:["pv0"] []); pv "pv1" (group ~pvs:["pv1"] [])];
  Trial.is_unknown "one that was removed" "lacks"
    [pv "pv0" (group ~pvs:["pv1"] [])];
  let luks_volume = disks_of example in
  Trial.put (List.hd luks_volume) (data_at + 40 * 64 * kib + 4096)
    "\xfc\x4e\x2b\xa9\001\000\000\000";
  Trial.put64 (List.hd luks_volume) (data_at + 40 * 64 * kib + 4096 + 144) 8;
  Trial.is_unknown "an array in it" "checksum" luks_volume

(* A physical volume in LUKS: known once that is open. *)
let test_opened () =
  let text =
    group ~pvs:["pv0"; "pv1"]
      [lv "both" [{ pv = "pv0"; from = 0; count = 1 };
                  { pv = "pv1"; from = 1; count = 2 }]] in
  let disk = pv "pv0" text and inside = pv "pv1" text in
  let closed = Trial.scan [disk] in
  Trial.check "closed" [whole 'a'; "/dev/vg/both volume 196608 missing"] closed;
  let read source offset length =
    let { Trial.bytes; _ } =
      match source with
      | Block.Disk 0 -> disk
      | Opened "/dev/mapper/luks-1" -> inside
      | _ -> failwith "another source" in
    Bytes.sub_string bytes offset length in
  let opened = [{ Layout.name = "/dev/mapper/luks-1"; size = 4194304L }] in
  Trial.check "open"
    [whole 'a';
     "/dev/vg/both volume 196608 other sda:1048576+65536 luks-1:1114112+131072";
     "/dev/mapper/luks-1 mapped 4194304 pv luks-1:0+4194304"]
    (Step.run ~read (Layout.with_opened closed opened))

(* A volume group named "mapper" has its volumes where open devices are. *)
let test_mapper () =
  let text =
    group ~name:"mapper" ~pvs:["pv0"]
      [lv "luks-1" [{ pv = "pv0"; from = 0; count = 1 }]] in
  let disk = pv "pv0" text and inside = Trial.disk size in
  let read source offset length =
    let { Trial.bytes; _ } =
      if source = Block.Disk 0 then disk else inside in
    Bytes.sub_string bytes offset length in
  let closed = Trial.scan [disk] in
  let volume = "/dev/mapper/luks-1 volume 65536 other sda:1048576+65536"
  and opened name = sprintf "/dev/mapper/%s mapped 4194304 other %s:0+4194304"
                      name name in
  let scan name =
    Step.run ~read
      (Layout.with_opened closed
         [{ Layout.name = "/dev/mapper/" ^ name; size = 4194304L }]) in
  Trial.check "another name" [whole 'a'; volume; opened "luks-2"]
    (scan "luks-2");
  Trial.check "the name of a volume"
    [whole 'a'; volume; opened "luks-1";
     "? /dev/mapper/luks-1: there are two devices of this name"]
    (scan "luks-1")

(* Each may have texts of 4 MiB: where there are too many, no text is read. *)
let test_many_volumes () =
  let disk = pv "pv0" (group ~pvs:["pv0"] []) in
  let texts = ref 0 in
  let read _ offset length =
    if offset = area_at then incr texts;
    Bytes.sub_string disk.bytes offset length in
  let scan n =
    texts := 0;
    Step.run ~read
      (Layout.scan
         (List.init n (fun _ ->
            { Layout.size = Int64.of_int size; sector_size = 512 }))) in
  (* They have the same UUID, which is another matter. *)
  ignore (scan 32);
  Testing.number "the texts of 32 volumes" 32 !texts;
  Testing.fails "33 volumes" (fun () -> scan 33);
  Testing.number "no text of 33 volumes" 0 !texts;
  (* In LUKS devices *)
  let closed = scan 20 in
  let with_opened n =
    texts := 0;
    Step.run ~read
      (Layout.with_opened closed
         (List.init n (fun i ->
            { Layout.name = sprintf "/dev/mapper/luks-%d" i;
              size = Int64.of_int size }))) in
  ignore (with_opened 12);
  Testing.number "the texts of 12 more" 12 !texts;
  Testing.fails "13 more" (fun () -> with_opened 13);
  Testing.number "at most 12 texts of them" 12 !texts

(* On an array of two disks. *)
let test_on_array () =
  let inner = pv "pv0" (group ~pvs:["pv0"]
                          [lv "a" [{ pv = "pv0"; from = 1; count = 1 }]]) in
  let disk = Trial.disk (size + 128 * kib) in
  Trial.put disk 0 (Bytes.to_string inner.bytes);
  let at = size + 128 * kib - 8192 in
  List.iter (fun (offset, n) -> Trial.put32 disk (at + offset) n)
    [0, 0xa92b_4efc; 4, 1; 72, 1; 80, size / 512; 92, 2; 136, size / 512;
     144, at / 512; 220, 2; 256, 0xfffe_0000];
  Trial.put32 disk (at + 216)
    (Checksum.sum32 (Bytes.sub_string disk.bytes at 260));
  Trial.check "LVM on a degraded RAID1"
    ["/dev/sda disk 4325376 member sda:0+4325376";
     "/dev/md127 array 4194304 pv sda:0+4194304";
     "/dev/vg/a volume 65536 other sda:1114112+65536"]
    (Trial.scan [disk])

(* What lvm itself makes *)

let lvm = Trial.output "lvm"

let configuration loops = sprintf
  "devices {\n dir = \"/dev\"\n scan = [ \"/dev\" ]\n\
  \ filter = [ %s \"r|.*|\" ]\n\
  \ use_devicesfile = 0\n obtain_device_list_from_udev = 0\n\
  \ external_device_info_source = \"none\"\n\
  \ multipath_component_detection = 0\n\
   }\nactivation { udev_sync = 0 udev_rules = 0 monitoring = 0 }\n\
   backup { backup = 0 archive = 0 }\nglobal { event_activation = 0 }\n"
  (String.concat ""
     (List.map (fun loop -> sprintf "\"a|^%s$|\", " loop) loops))

(* Where a loop device is: its disk, offset and length. *)
type loop = { node : string; disk : int; at : int }

let attach (disk, at, length) =
  let node =
    String.trim
      (Trial.output "losetup"
         ["--find"; "--show"; "--offset"; string_of_int at; "--sizelimit";
          string_of_int length; sprintf "disk%d" disk]) in
  { node; disk; at }

(* No device mapper is needed, as nothing is activated. *)
let quiet = ["--driverloaded"; "n"]

let script a b c d = [
  ["pvcreate"; a; b; c]; ["pvcreate"; "--metadatacopies"; "0"; d];
  ["vgcreate"; "-s"; "128K"; "vg0"; a; b];
  ["vgcreate"; "-s"; "1M"; "vg-1.x"; c; d];
]
  @ List.map (fun arguments ->
      ["lvcreate"; "--activate"; "n"; "--zero"; "n"; "--wipesignatures"; "n"]
      @ arguments)
      [["-l"; "10"; "-n"; "root"; "vg0"]; ["-l"; "3"; "-n"; "data"; "vg0"];
       ["-l"; "4"; "-n"; "data-2"; "vg0"; b]; ["-l"; "2"; "-n"; "gone"; "vg0"];
       ["-l"; "2"; "-n"; "skip"; "-k"; "y"; "vg0"];
       ["-l"; "3"; "-n"; "a"; "vg-1.x"; d]; ["-l"; "2"; "-n"; "B"; "vg-1.x"; c]]
  @ [
    ["lvremove"; "--yes"; "vg0/gone"]; ["lvextend"; "-l"; "80"; "vg0/root"];
    ["lvextend"; "-l"; "5"; "vg-1.x/B"]; ["lvrename"; "vg0/data"; "vg0/d"];
  ]

(* In the way of libguestfs, but with where they are. *)
let lvs () =
  lvm (["lvs"; "--segments"; "-o";
        "vg_name,lv_name,seg_pe_ranges,vg_extent_size";
        "-S"; "lv_role=public && lv_skip_activation!=yes"; "--noheadings";
        "--units"; "b"; "--nosuffix"; "--separator"; "/"] @ quiet)

let pe_start node =
  int_of_string
    (String.trim
       (lvm (["pvs"; "-o"; "pe_start"; "--noheadings"; "--units"; "b";
              "--nosuffix"; node] @ quiet)))

let parse_segment loops starts line =
  Scanf.sscanf (String.trim line) "%[^/]/%[^/]/%[^:]:%d-%d/%d"
    (fun vg lv node first last extent ->
      let loop = List.find (fun loop -> loop.node = node) loops in
      sprintf "/dev/%s/%s" vg lv,
      (first, sprintf "sd%c:%d+%d" (Char.chr (Char.code 'a' + loop.disk))
                (loop.at + List.assoc node starts + first * extent)
                ((last - first + 1) * extent)))

let expected_volumes loops =
  let starts = List.map (fun { node; _ } -> node, pe_start node) loops in
  let segments =
    List.map (parse_segment loops starts)
      (List.filter ((<>) "") (String.split_on_char '\n' (lvs ()))) in
  let names = List.sort_uniq compare (List.map fst segments) in
  List.map (fun name ->
    let places =
      List.filter_map (fun (n, (_, place)) ->
        if n = name then Some place else None) segments in
    String.concat " " (name :: places)) names

let found_volumes layout =
  List.filter_map (fun (device : Layout.device) ->
    let source = function
      | Block.Disk i -> Filename.basename (Block.disk_name i)
      | Opened name -> name in
    if device.kind <> Logical_volume then None
    else
      Some (String.concat " "
              (device.block.name
               :: List.map (fun { Block.source = s; offset; length } ->
                    sprintf "%s:%d+%d" (source s) offset length)
                    device.block.extents)))
    (Layout.devices layout)

let disks () = List.map (fun i -> Trial.of_file (sprintf "disk%d" i)) [0; 1; 2]

let compare_with_lvs name loops ~count =
  let expected = expected_volumes loops in
  let layout = Trial.scan (disks ()) in
  Testing.number (name ^ ": volumes") count (List.length expected);
  Testing.equal name (String.concat "; ") expected (found_volumes layout);
  Testing.number (name ^ ": unknown") 0 (List.length (Layout.unknown layout))

(* Loop devices on parts of the disks, and an LVM that sees only these. *)
let with_loops places f =
  let loops = List.map attach places in
  let detach () =
    List.iter (fun { node; _ } ->
      ignore (Process.succeeds "losetup" ["--detach"; node])) loops in
  Fun.protect ~finally:detach (fun () ->
    Testing.write_file "lvm.conf" (configuration (List.map (fun l -> l.node) loops));
    Unix.putenv "LVM_SYSTEM_DIR" (Sys.getcwd ());
    Unix.putenv "LVM_SUPPRESS_FD_WARNINGS" "1";
    f loops)

let test_lvm_itself () =
  List.iter (fun i -> Testing.write_file (sprintf "disk%d" i) "";
                      Unix.truncate (sprintf "disk%d" i) (16 * mib)) [0; 1; 2];
  ignore (Trial.output "sh"
            ["-c"; "printf 'label: gpt\\n,6M\\n,8M\\n' | \
                    sfdisk --quiet --no-reread disk1"]);
  with_loops [0, 0, 16 * mib; 1, mib, 6 * mib; 1, 7 * mib, 8 * mib;
              2, 0, 16 * mib] (fun loops ->
    let run arguments = ignore (lvm (arguments @ quiet)) in
    (match List.map (fun loop -> loop.node) loops with
     | [a; b; c; d] -> List.iter run (script a b c d)
     | _ -> assert false);
    compare_with_lvs "as lvs says" loops ~count:5;
    (* What changes a flag of its metadata. *)
    run ["vgchange"; "--setautoactivation"; "n"; "vg-1.x"];
    Trial.is_unknown "no automatic activation" "vg-1.x" (disks ());
    run ["vgchange"; "--setautoactivation"; "y"; "vg-1.x"];
    compare_with_lvs "as before" loops ~count:5;
    run ["vgexport"; "vg-1.x"];
    Trial.is_unknown "exported" "EXPORTED" (disks ());
    run ["vgimport"; "vg-1.x"];
    run ["lvcreate"; "--activate"; "n"; "--zero"; "n"; "--wipesignatures"; "n";
         "-i"; "2"; "-l"; "2"; "-n"; "striped"; "vg-1.x"];
    Trial.is_unknown "striped" "striped" (disks ()))

(* Mutants of the text that we know, as lvs lists them. *)

let words =
  [| "0"; "1"; "2"; "3"; "7"; "12"; "4294967295"; "999999999999999999"; "-1";
     "{"; "}"; "["; "]"; "\""; "= ["; "segment1"; "pv0"; "vg"; "#"; "\000";
     "\n"; "type"; "id"; " "; "x" |]

let change_text random disks =
  let length = String.length example + 1 in
  let at = area_at + 512 + Random.State.int random (length - 32) in
  let word = words.(Random.State.int random (Array.length words)) in
  List.iter (fun disk -> Trial.put disk at word) disks

let repair_text disk =
  Trial.put32 disk (area_at + 56)
    (sum disk (area_at + 512) (String.length example + 1));
  repair_area disk

let rec known_mutant random =
  let disks = disks_of example in
  for _ = 0 to Random.State.int random 3 do change_text random disks done;
  List.iter repair_text disks;
  let layout = Trial.scan disks in
  if Layout.unknown layout = [] && found_volumes layout <> [] then disks, layout
  else known_mutant random

let with_lvm = 60

let test_mutants_with_lvm () =
  let random = Random.State.make [| 3 |] in
  let text = String.concat "; " in
  List.iteri (fun i disk -> Trial.to_file (sprintf "disk%d" i) disk)
    (disks_of example);
  with_loops [0, 0, size; 1, 0, size] (fun loops ->
    for i = 1 to with_lvm do
      let disks, layout = known_mutant random in
      List.iteri (fun i disk -> Trial.to_file (sprintf "disk%d" i) disk) disks;
      let name = sprintf "mutant %d, as lvs says" i in
      match expected_volumes loops with
      | expected -> Testing.equal name text expected (found_volumes layout)
      | exception Stdlib.Failure reason -> Testing.text name "" reason
    done)

let test_mutants () =
  let disks = disks_of example in
  let text_length = String.length example + 1 in
  let text_places = List.map (fun i -> i, area_at + 512, text_length) [0; 1] in
  let words =
    [| "0"; "1"; "2"; "4294967295"; "999999999999999999"; "-1"; "{"; "}"; "[";
       "]"; "\""; "= ["; "segment1"; "pv0"; "vg"; "#"; "\000"; "\n";
       "type" |] in
  (* The same on both, mostly, or they only contradict each other. *)
  let change random =
    let at = area_at + 512 + Random.State.int random (text_length - 32) in
    let word = words.(Random.State.int random (Array.length words)) in
    List.iter (fun disk ->
      if Random.State.int random 8 <> 0 then Trial.put disk at word) disks in
  let repair () =
    List.iter (fun disk ->
      Trial.put32 disk (area_at + 56) (sum disk (area_at + 512) text_length);
      repair_area disk;
      repair_label disk) disks in
  Trial.mutate "LVM, headers" 10_000
    { disks; repair; change;
      places =
        List.concat_map (fun i ->
          [i, label_at, 192; i, area_at, 96; i, area_at, 512]) [0; 1]
        @ text_places }
  |> prerr_endline;
  Trial.mutate "LVM, text" 10_000
    { disks = [List.hd disks]; change; repair;
      places =
        (0, area_at, 96) :: List.init 9 (fun _ -> List.hd text_places) }
  |> prerr_endline

let () =
  test_written ();
  test_pvck ();
  test_unknown ();
  test_opened ();
  test_mapper ();
  test_many_volumes ();
  test_on_array ();
  if Unix.geteuid () = 0 && Sys.file_exists "/dev/loop-control" then
    (test_lvm_itself (); test_mutants_with_lvm ())
  else prerr_endline "lvm itself makes no groups: that takes root";
  test_mutants ();
  Testing.finish ()
