(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What a disk image is, what it names, and what is followed.  The images are made
 * by qemu-img.
 *)

open Printf

(* Above it, there is nothing either. *)
let in_folder f =
  Testing.in_folder (fun folder ->
    let inner = Filename.concat folder "inner" in
    Unix.mkdir inner 0o700;
    Sys.chdir inner;
    f inner)

let read_file = Testing.read_file
let write_file = Testing.write_file
let contains = Testing.contains

let qemu_img arguments =
  if not (Process.succeeds "qemu-img" arguments) then
    failwith ("qemu-img " ^ String.concat " " arguments)

let create ?(options = []) format file =
  qemu_img (["create"; "-q"; "-f"; format] @ options @ [file; "1M"])

(* Where a text stands in another one. *)
let position text part =
  let length = String.length part in
  let rec search i =
    if String.sub text i length = part then i else search (i + 1) in
  search 0

(* An image whose backing file is named as it stands, unseen.  qemu-img wants its
 * format, which is made unreadable if there shall be none.
 *)
let on_top ?(format = "qcow2") ?backing_format backing file =
  let given = Option.value backing_format ~default:"raw" in
  qemu_img ["create"; "-q"; "-u"; "-f"; format; "-b"; backing; "-F"; given;
            file; "1M"];
  if backing_format = None then (
    let bytes = Bytes.of_string (read_file file) in
    (match format with
     | "qcow2" ->
        let at = position (Bytes.to_string bytes) "\xe2\x79\x2a\xca" in
        Bytes.set_int32_be bytes at 0x11223344l
     | "qed" ->
        Bytes.set_uint8 bytes 16 (Bytes.get_uint8 bytes 16 land lnot 4)
     | _ -> ());
    write_file file (Bytes.to_string bytes)
  )

let show_named = function
  | Container.Nothing -> "nothing"
  | Backing { file; format } ->
     sprintf "%s as %s" file (Option.value format ~default:"?")

let named format file = Chain.with_file file (Container.named format)

let refuses name ?wanted format file =
  match named format file with
  | named -> Testing.text name "a refusal" (show_named named)
  | exception Container.Refused refused ->
     Testing.text (name ^ ": what it wanted")
       (Option.value wanted ~default:"-")
       (Option.value refused.wanted ~default:"-");
     Testing.is_true (name ^ ": a hint") (refused.hint <> "")

let test_formats () =
  List.iter (fun name ->
    let format = Option.get (Image_format.of_name name) in
    Testing.text "a name there and back" name (Image_format.name format))
    Image_format.names;
  Testing.is_true "no such format" (Image_format.of_name "vvfat" = None);
  Testing.is_true "nothing else is raw"
    (Image_format.of_name "nbd" = None && Image_format.of_name "" = None)

let test_detect () =
  let found = function
    | Image_format.Raw -> "raw"
    | format -> Image_format.name format in
  let detects ?options format =
    let file = "disk." ^ format in
    create ?options format file;
    Testing.text ("found out: " ^ format) format (found (Chain.detect file)) in
  in_folder (fun _ ->
    List.iter detects
      ["raw"; "qcow2"; "qcow"; "qed"; "vmdk"; "vdi"; "vhdx"; "vpc"; "parallels"];
    detects ~options:["-o"; "compat=0.10"] "qcow2";
    create "qcow2" ~options:["-o"; "cluster_size=2M"] "large-clusters";
    Testing.text "large clusters" "nothing"
      (show_named (named Qcow2 "large-clusters"));
    detects ~options:["-o"; "subformat=monolithicFlat"] "vmdk";
    write_file "empty" "";
    Testing.text "no bytes" "raw" (found (Chain.detect "empty")));
  let of_text name expected text =
    Testing.text name expected (found (Image_format.detect text)) in
  of_text "LUKS1" "raw" "LUKS\xba\xbe\x00\x01";
  of_text "a shell script" "raw" "#!/bin/sh\n#V2.0 Format\n";
  of_text "a magic that is cut" "raw" "QFI";
  of_text "a version that nobody knows" "raw" "QFI\xfb\000\000\000\009"

let test_containers () =
  let is name expected format file =
    Testing.text name expected (show_named (named format file)) in
  in_folder (fun _ ->
    List.iter (fun name ->
      let format = Option.get (Image_format.of_name name) in
      create name ("plain." ^ name);
      is ("alone: " ^ name) "nothing" format ("plain." ^ name))
      ["raw"; "qcow2"; "qcow"; "qed"; "vmdk"; "vdi"; "vhdx"; "vpc"; "parallels"];
    on_top "base.img" ~backing_format:"raw" "a";
    is "qcow2" "base.img as raw" Qcow2 "a";
    on_top "nbd://127.0.0.1/x" "b";
    is "no format" "nbd://127.0.0.1/x as ?" Qcow2 "b";
    qemu_img ["create"; "-q"; "-u"; "-f"; "qcow2"; "-o"; "compat=0.10"; "-b";
              "old.img"; "-F"; "qcow2"; "c"; "1M"];
    is "version 2" "old.img as qcow2" Qcow2 "c";
    on_top ~format:"qed" "base.img" ~backing_format:"raw" "d";
    is "qed" "base.img as raw" Qed "d";
    on_top ~format:"qed" "base.img" "d";
    is "qed, no format" "base.img as ?" Qed "d";
    on_top ~format:"qcow" "base.img" "e";
    is "qcow" "base.img as ?" Qcow "e";
    (* qemu-img reads that of a vmdk. *)
    create "vmdk" "parent.vmdk";
    qemu_img ["create"; "-q"; "-f"; "vmdk"; "-b"; "parent.vmdk"; "-F"; "vmdk";
              "f"];
    refuses "a snapshot of a vmdk" ~wanted:"parent.vmdk" Vmdk "f";
    (* qemu reads a parent there whatever the header says, and in old vmdk. *)
    let bytes = Bytes.of_string (read_file "f") in
    Bytes.set_int64_le bytes 28 100L;
    write_file "f" (Bytes.to_string bytes);
    refuses "a descriptor elsewhere" ~wanted:"parent.vmdk" Vmdk "f";
    Bytes.blit_string "COWD" 0 bytes 0 4;
    write_file "f" (Bytes.to_string bytes);
    refuses "version 3" ~wanted:"parent.vmdk" Vmdk "f";
    create "qcow2" ~options:["-o"; "data_file=outside.raw"] "g";
    refuses "data file" ~wanted:"outside.raw" Qcow2 "g";
    create "vmdk" ~options:["-o"; "subformat=monolithicFlat"] "h.vmdk";
    refuses "flat" ~wanted:"h-flat.vmdk" Vmdk "h.vmdk";
    create "vmdk" ~options:["-o"; "subformat=twoGbMaxExtentSparse"] "i.vmdk";
    refuses "split" ~wanted:"i-s001.vmdk" Vmdk "i.vmdk";
    write_file "j.vmdk" "# Disk DescriptorFile\nRW 2048 FLAT \"/etc/shadow\" 0\n";
    refuses "any file" ~wanted:"/etc/shadow" Vmdk "j.vmdk";
    refuses "no vmdk at all" Vmdk "plain.qcow2")

(* qemu takes the last extension of a kind, and reads to the end of the list. *)
let test_extensions () =
  let be32 n =
    let b = Bytes.create 4 in
    Bytes.set_int32_be b 0 (Int32.of_int n);
    Bytes.to_string b in
  let extension kind text =
    let padding = (8 - String.length text mod 8) mod 8 in
    be32 kind ^ be32 (String.length text) ^ text ^ String.make padding '\000' in
  let format = extension 0xe2792aca and other = extension 0x11223344 in
  let image name ?(cluster_bits = 16) ?(ending = be32 0 ^ be32 0) extensions =
    let header = Bytes.make 104 '\000' in
    Bytes.blit_string "QFI\xfb\000\000\000\003" 0 header 0 8;
    Bytes.set_int32_be header 20 (Int32.of_int cluster_bits);
    Bytes.set_int32_be header 100 104l;
    let area = String.concat "" extensions ^ ending in
    let at = 104 + String.length area in
    Bytes.set_int64_be header 8 (Int64.of_int at);
    Bytes.set_int32_be header 16 4l;
    write_file name (Bytes.to_string header ^ area ^ "base") in
  in_folder (fun _ ->
    image "one" [other "x"; format "raw"];
    Testing.text "one format" "base as raw" (show_named (named Qcow2 "one"));
    image "none" [other "x"];
    Testing.text "no format" "base as ?" (show_named (named Qcow2 "none"));
    image "exact" ~ending:"" [format "raw"];
    Testing.text "to the end" "base as raw" (show_named (named Qcow2 "exact"));
    image "two" [format "raw"; format "qcow2"];
    refuses "two formats" Qcow2 "two";
    image "far" ~cluster_bits:21
      [format "raw"; other (String.make 70_000 'x'); format "qcow2"];
    refuses "one far away" Qcow2 "far";
    image "too long" ~ending:(be32 0x11223344 ^ be32 9999) [format "raw"];
    refuses "one that does not fit" Qcow2 "too long")

(* A descriptor in a sparse vmdk counts where the sparse part has no size. *)
let test_vmdk_shell () =
  in_folder (fun _ ->
    let header = Bytes.make 2048 '\000' in
    Bytes.blit_string "KDMV" 0 header 0 4;
    Bytes.set_int32_le header 4 1l;
    Bytes.set_int64_le header 28 1L;
    Bytes.set_int64_le header 36 2L;
    let text = "# Disk DescriptorFile\nRW 1 FLAT \"/etc/shadow\" 0\n" in
    Bytes.blit_string text 0 header 512 (String.length text);
    write_file "shell.vmdk" (Bytes.to_string header);
    refuses "a shell" ~wanted:"/etc/shadow" Vmdk "shell.vmdk")

let test_secrets_of_qemu () =
  in_folder (fun _ ->
    let header = Bytes.make 512 '\000' in
    Bytes.blit_string "QFI\xfb\000\000\000\003" 0 header 0 8;
    Bytes.set_int32_be header 32 2l;
    Bytes.set_int32_be header 100 104l;
    write_file "k" (Bytes.to_string header);
    refuses "LUKS of qcow2" Qcow2 "k")

(* Whatever the bytes are, there is an answer, and few of them are read. *)
let test_hostile () =
  let random = Random.State.make [| 20261125 |] in
  let most = ref 0 and answers = ref 0 in
  let ask format bytes =
    let taken = ref 0 in
    let read offset length =
      taken := !taken + length;
      if offset < 0L || offset >= Int64.of_int (Bytes.length bytes) then ""
      else
        let offset = Int64.to_int offset in
        Bytes.sub_string bytes offset (min length (Bytes.length bytes - offset))
    in
    (match Container.named format read with
     | Nothing | Backing _ -> ()
     | exception Container.Refused _ -> ());
    incr answers;
    most := max !most !taken in
  in_folder (fun _ ->
    on_top "base.img" ~backing_format:"raw" "seed.qcow2";
    create "qcow2" ~options:["-o"; "data_file=outside.raw"] "data.qcow2";
    on_top ~format:"qcow" "base.img" "seed.qcow";
    on_top ~format:"qed" "base.img" "seed.qed";
    create "vmdk" "seed.vmdk";
    create "vpc" "seed.vpc";
    let seed name =
      Chain.with_file name (fun read -> Bytes.of_string (read 0L 65536)) in
    let mutate format bytes =
      let copy = Bytes.copy bytes in
      for _ = 0 to Random.State.int random 8 do
        let at = Random.State.int random (min 160 (Bytes.length copy)) in
        Bytes.set_uint8 copy at (Random.State.int random 256)
      done;
      let length = 1 + Random.State.int random (Bytes.length copy) in
      ask format (if Random.State.bool random then copy
                  else Bytes.sub copy 0 length) in
    List.iter (fun (format, name) ->
      let bytes = seed name in
      for length = 0 to min 600 (Bytes.length bytes) do
        ask format (Bytes.sub bytes 0 length)
      done;
      for _ = 1 to 4000 do mutate format bytes done)
      [Image_format.Qcow2, "seed.qcow2"; Qcow2, "data.qcow2";
       Qcow, "seed.qcow"; Qed, "seed.qed"; Vmdk, "seed.vmdk";
       Vpc, "seed.vpc"]);
  Testing.is_true "many answers" (!answers > 24_000);
  Testing.is_true "not much is read" (!most <= 128 * 1024)

let fails name words f =
  match f () with
  | _ -> Testing.text name "an error" "none"
  | exception Failure.Error { message; _ } ->
     if not (contains message words) then Testing.text name words message
     else Testing.is_true name true

let test_chain () =
  let show { Chain.top; backing; found_out } =
    let element { Chain.file; format; _ } =
      Filename.basename file ^ ":" ^ Image_format.name format in
    String.concat " " (List.map element (top :: backing))
    ^ if found_out then " found out" else "" in
  in_folder (fun folder ->
    create "raw" "base.img";
    Unix.mkdir "sub" 0o700;
    on_top "../base.img" ~backing_format:"raw" "sub/middle";
    on_top (Filename.concat folder "sub/middle") ~backing_format:"qcow2" "top";
    Testing.text "found out" "top:qcow2 middle:qcow2 base.img:raw found out"
      (show (Chain.walk "top"));
    Testing.text "given" "top:qcow2 middle:qcow2 base.img:raw"
      (show (Chain.walk ~format:Qcow2 "top"));
    Testing.text "raw is raw" "top:raw" (show (Chain.walk ~format:Raw "top"));
    Unix.symlink "sub/middle" "link";
    fails "relative to the link, as for qemu" "'../base.img', which cannot"
      (fun () -> Chain.walk "link");
    let refuses name ?backing_format backing words =
      on_top backing ?backing_format "hostile";
      fails name words (fun () -> Chain.walk "hostile") in
    refuses "no format" "base.img" "format of its backing file 'base.img'";
    refuses "a format that is none" "base.img" ~backing_format:"nbd"
      "'nbd', which is not one of";
    let raw = "raw" in
    List.iter (fun (name, backing) ->
      refuses name backing ~backing_format:raw "which is n")
      ["a server", "nbd://127.0.0.1:1/x"; "another form", "nbd:127.0.0.1:1";
       "JSON", "json:{\"driver\":\"raw\"}"; "a folder as FAT", "fat:rw:/etc";
       "a descriptor", "fd:3"; "a folder", "/etc"; "a device", "/dev/zero";
       "a process", "/proc/self/maps"; "the same", "//proc/self/maps";
       "its descriptor", "/dev/fd/0"; "the kernel", "/dev/../proc/kmsg"];
    on_top "a\nb" "hostile";
    (match Chain.walk "hostile" with
     | _ -> Testing.is_true "a name with a line feed" false
     | exception Failure.Error { message; _ } ->
        Testing.is_true "one line" (not (String.contains message '\n')));
    on_top "x'; touch pwned; : '" "hostile";
    (match Chain.walk "hostile" with
     | _ -> Testing.is_true "a name with quotes" false
     | exception Failure.Error { hint; _ } ->
        Testing.is_true "quotes are quoted"
          (contains (Option.value hint ~default:"")
             (Filename.quote "x'; touch pwned; : '")));
    refuses "no such file" "gone.img" ~backing_format:raw "'gone.img', which";
    Unix.mkfifo "fifo" 0o600;
    refuses "a pipe" "fifo" ~backing_format:raw "neither a file nor";
    on_top "two" ~backing_format:"qcow2" "one";
    on_top "one" ~backing_format:"qcow2" "two";
    fails "a circle" "more than 64" (fun () -> Chain.walk "one");
    create "qcow2" ~options:["-o"; "data_file=outside.raw"] "data";
    fails "a data file" "another file: 'outside.raw', which is not followed"
      (fun () -> Chain.walk "data");
    on_top "data" ~backing_format:"qcow2" "over-data";
    fails "one further down" "another file: 'outside.raw'"
      (fun () -> Chain.walk "over-data");
    fails "no file" "No such file" (fun () -> Chain.walk "nothing"))

(* What qemu reads through our overlays is what lies below. *)
let test_overlays () =
  let reads overlay expected =
    let raw = overlay ^ ".raw" in
    qemu_img ["convert"; "-f"; "qcow2"; "-O"; "raw"; overlay; raw];
    Chain.with_file raw (fun read ->
      Testing.text overlay expected (read 0L (String.length expected))) in
  let overlays folder reader =
    create "raw" "base.img";
    write_file "text" ("the text below" ^ String.make 4096 '\000');
    qemu_img ["dd"; "-f"; "raw"; "-O"; "raw"; "bs=4096"; "count=1"; "if=text";
              "of=base.img"];
    let over name chain =
      let overlay = Overlay.over_chain { folder; name; reader } chain in
      reads overlay "the text below" in
    over "plain" (Chain.walk ~format:Raw "base.img");
    on_top "base.img" ~backing_format:"raw" "one";
    on_top "one" ~backing_format:"qcow2" "two";
    over "chain" (Chain.walk "two");
    let renamed before (name, strange) =
      Sys.rename before strange;
      over name (Chain.walk strange);
      strange in
    List.fold_left renamed "two"
      ["strange", "a: b,c\"d\\\xff\n" ^ String.make 200 'x';
       "control", String.make 200 '\001']
    |> ignore;
    let deep = String.concat "/" (List.init 3 (fun _ -> String.make 200 'd')) in
    List.fold_left (fun above name ->
      let path = if above = "" then name else above ^ "/" ^ name in
      Unix.mkdir path 0o700;
      path) "" (String.split_on_char '/' deep) |> ignore;
    let long = deep ^ "/base.img" in
    Sys.rename "base.img" long;
    over "long" (Chain.walk ~format:Raw long) in
  in_folder (fun folder -> overlays folder Overlay.Qemu);
  in_folder (fun folder -> overlays folder Overlay.Libvirt)

(* As long as may be, of disks of two terabytes. *)
let test_long_chain () =
  in_folder (fun folder ->
    qemu_img ["create"; "-q"; "-f"; "raw"; "0"; "2T"];
    for i = 1 to Chain.longest - 1 do
      let below = string_of_int (i - 1) in
      qemu_img ["create"; "-q"; "-u"; "-f"; "qcow2"; "-b"; below; "-F";
                (if i = 1 then "raw" else "qcow2"); string_of_int i; "2T"]
    done;
    let chain = Chain.walk (string_of_int (Chain.longest - 1)) in
    Testing.number "files" Chain.longest (1 + List.length chain.backing);
    let overlay =
      Overlay.over_chain { folder; name = "long"; reader = Qemu } chain in
    Testing.is_true "an overlay" (Sys.file_exists overlay))

let test_nodes () =
  let is name json uri (node, found) =
    Testing.text name ("json:" ^ json) (Node.text node);
    Testing.text (name ^ ": URI") uri found in
  let user = Some ("u@x", None) in
  is "nbd"
    {|{"driver": "nbd", "server": {"type": "inet", "host": "h", "port": "10809"}}|}
    "nbd://h/" (Node.nbd ~server:"h" ~export:"");
  is "nbd, IPv6"
    {|{"driver": "nbd", "server": {"type": "inet", "host": "::1", "port": "5"}, "export": "e"}|}
    "nbd://[::1]:5/e" (Node.nbd ~server:"[::1]:5" ~export:"e");
  is "nbd, IPv6 without a port"
    {|{"driver": "nbd", "server": {"type": "inet", "host": "fe80::1", "port": "10809"}}|}
    "nbd://[fe80::1]/" (Node.nbd ~server:"[fe80::1]" ~export:"");
  is "nbd, a socket"
    {|{"driver": "nbd", "server": {"type": "unix", "path": "/run/a b"}}|}
    "nbd+unix:///?socket=/run/a%20b"
    (Node.nbd ~server:"unix:/run/a b" ~export:"");
  is "ssh"
    {|{"driver": "ssh", "server": {"host": "h", "port": "22"}, "path": "/d", "user": "u@x"}|}
    "ssh://u%40x@h/d" (Node.ssh ~server:"h" ~user ~path:"/d");
  is "http" {|{"driver": "https", "url": "https://u%40x@h:80/a%20b%3Fc"}|}
    "https://u%40x@h:80/a%20b%3Fc"
    (Node.http ~scheme:"https" ~server:"h:80" ~user ~path:"/a b?c");
  is "http with a password" {|{"driver": "http", "url": "http://u:p%3A%2F@h/"}|}
    "http://u:p%3A%2F@h/"
    (Node.http ~scheme:"http" ~server:"h" ~user:(Some ("u", Some "p:/"))
       ~path:"/")

let test_alone () =
  in_folder (fun _ ->
    create "qcow2" "plain";
    on_top "base.img" ~backing_format:"raw" "over";
    let check file = Chain.with_file file (Chain.check_alone "title" Qcow2) in
    check "plain";
    fails "on a server" "title: it has a backing file: 'base.img', which is not"
      (fun () -> check "over"))

let rec wait_for condition tries =
  if not (condition ()) then
    if tries = 0 then failwith "waited in vain"
    else (
      Unix.sleepf 0.05;
      wait_for condition (tries - 1)
    )

(* The bytes of a file, from a server. *)
let with_server file f =
  let socket = file ^ ".sock" in
  let pid =
    Unix.create_process "qemu-nbd"
      [| "qemu-nbd"; "--read-only"; "--format=raw"; "--persistent";
         "--socket=" ^ Files.absolute socket; file |]
      Unix.stdin Unix.stdout Unix.stderr in
  let finally () =
    Unix.kill pid Sys.sigterm;
    ignore (Unix.waitpid [] pid) in
  Fun.protect ~finally (fun () ->
    wait_for (fun () -> Sys.file_exists socket) 200;
    let node, uri =
      Node.nbd ~server:("unix:" ^ Files.absolute socket) ~export:"" in
    f (fun format ->
      { Overlay.node; uri; network = Sandbox.All_sockets; title = "t"; format }))

let test_servers () =
  in_folder (fun folder ->
    create "raw" "raw";
    create "qcow2" "plain";
    on_top "raw" ~backing_format:"raw" "over";
    let place = { Overlay.folder; name = "r"; reader = Overlay.Qemu } in
    let format_of remote =
      Image_format.name (Overlay.format_of_remote place remote) in
    with_server "raw" (fun remote ->
      Testing.text "raw" "raw" (format_of (remote None));
      Testing.is_true "an overlay"
        (Sys.file_exists
           (Overlay.over_remote place (remote None) ~format:Raw)));
    with_server "plain" (fun remote ->
      Testing.text "as the user says" "qcow2" (format_of (remote (Some Qcow2)));
      fails "as the bytes say" "t: begins like a qcow2 file" (fun () ->
        format_of (remote None)));
    with_server "over" (fun remote ->
      fails "with a backing file" "t: it has a backing file: 'raw'" (fun () ->
        format_of (remote (Some Qcow2)))))

(* A qemu-img that does something else. *)
let test_taken_over () =
  in_folder (fun folder ->
    create "raw" "base.img";
    let real =
      List.find Sys.file_exists
        (List.map (fun folder -> Filename.concat folder "qemu-img")
           (String.split_on_char ':' (Sys.getenv "PATH"))) in
    Unix.mkdir "bin" 0o700;
    write_file "bin/qemu-img"
      (sprintf "#!/bin/bash\nexec %s create -q -u -f qcow2 -b /etc/passwd -F raw \
                \"${!#}\" 1M\n" (Filename.quote real));
    Unix.chmod "bin/qemu-img" 0o700;
    let path = Sys.getenv "PATH" in
    Fun.protect ~finally:(fun () -> Unix.putenv "PATH" path) (fun () ->
      Unix.putenv "PATH" (Filename.concat folder "bin" ^ ":" ^ path);
      fails "another overlay" "has not made the overlay" (fun () ->
        Overlay.over_chain { folder; name = "o"; reader = Qemu }
          (Chain.walk ~format:Raw "base.img"))))

let () =
  test_formats ();
  test_detect ();
  test_containers ();
  test_extensions ();
  test_vmdk_shell ();
  test_secrets_of_qemu ();
  test_hostile ();
  test_chain ();
  test_overlays ();
  test_long_chain ();
  test_nodes ();
  test_alone ();
  test_servers ();
  test_taken_over ();
  Testing.finish ()
