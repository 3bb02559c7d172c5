(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Key files: what is in them, and that they appear complete or not at all.
 *)

(* Before the first key. *)
let () = Clevis.init ()

let key_of text =
  let reading, writing = Unix.pipe ~cloexec:true () in
  ignore (Unix.write_substring writing text 0 (String.length text));
  Unix.close writing;
  Fun.protect ~finally:(fun () -> Unix.close reading) (fun () ->
    Clevis.Key.read reading)

let uuid = "01234567-89ab-cdef-0123-456789abcdef"

let entry ?key ?(kind = Types.Partition) ?(uuid = uuid) device =
  { Key_format.device; kind; uuid; keyslot = Some 1;
    key = Option.map key_of key }

let lines = List.hd Key_format.all

let read_file = Testing.read_file

(* Run f with the name of a folder that is empty before, and see what it has
 * left there.
 *)
let in_folder f =
  let dir = Filename.temp_file "nbde" ".d" in
  Sys.remove dir;
  Unix.mkdir dir 0o700;
  let rec remove_in dir name =
    let path = Filename.concat dir name in
    match (Unix.lstat path).st_kind with
    | Unix.S_DIR ->
       Array.iter (remove_in path) (Sys.readdir path);
       Unix.rmdir path
    | _ -> Sys.remove path in
  let remove = remove_in dir in
  let finally () =
    Array.iter remove (Sys.readdir dir);
    Unix.rmdir dir in
  Fun.protect ~finally (fun () -> f dir)

let left dir = List.sort compare (Array.to_list (Sys.readdir dir))

let show = Testing.list (Printf.sprintf "%S")

let target ?(force = false) ?(format = lines) dir =
  { Keyfile.file = Filename.concat dir "keys"; format; force }

let fails name dir f =
  let before = left dir in
  Testing.fails name f;
  Testing.equal (name ^ ": nothing left") show before (left dir)

let test_order () =
  in_folder (fun dir ->
    let target = target dir in
    Keyfile.write target [
      entry "/dev/sdb" ~kind:Whole_disk ~key:"whole";
      entry "/dev/sda2" ~key:"p2";
      entry "/dev/sda3" ~key:"p 3";
      entry "/dev/md0" ~kind:Md_array;
      entry "/dev/vg/a" ~kind:Logical_volume ~key:"lv";
      entry "/dev/md1p1" ~key:"md";
    ];
    Testing.text "order" "p2\np 3\nmd\nlv\nwhole" (read_file target.file);
    Testing.equal "nothing else" show ["keys"] (left dir);
    Testing.number "mode" 0o600 (Unix.stat target.file).st_perm)

let test_replace () =
  in_folder (fun dir ->
    let key name = [entry "/dev/sda2" ~key:name] in
    Keyfile.write (target dir) (key "one");
    fails "exists" dir (fun () -> Keyfile.write (target dir) (key "two"));
    fails "exists, asked before" dir (fun () ->
      Keyfile.check_target (target dir));
    Testing.text "kept" "one" (read_file (target dir).file);
    Unix.chmod (target dir).file 0o644;
    Keyfile.check_target (target ~force:true dir);
    Keyfile.write (target ~force:true dir) (key "three");
    Testing.text "replaced" "three" (read_file (target dir).file);
    Testing.number "mode" 0o600 (Unix.stat (target dir).file).st_perm;
    Testing.equal "nothing else" show ["keys"] (left dir))

let test_not_regular () =
  in_folder (fun dir ->
    Unix.symlink "elsewhere" (target dir).file;
    fails "a link" dir (fun () ->
      Keyfile.check_target (target ~force:true dir));
    fails "a link, written" dir (fun () ->
      Keyfile.write (target dir) [entry "/dev/sda2" ~key:"x"]));
  Testing.fails "no folder"
    (fun () -> Keyfile.check_target (target "/nonexistent/folder"));
  Testing.fails "no folder, written"
    (fun () ->
      Keyfile.write (target "/nonexistent/folder") [entry "/dev/a" ~key:"x"])

let test_content () =
  in_folder (fun dir ->
    let write entries () = Keyfile.write (target dir) entries in
    fails "no key" dir (write []);
    fails "newline" dir (write [entry "/dev/sda2" ~key:"a\nb"]);
    fails "NUL" dir (write [entry "/dev/sda2" ~key:"a\000b"]);
    fails "a device without key" dir
      (write [entry "/dev/sda2" ~key:"x"; entry "/dev/sda3"]);
    write [entry "/dev/sda2" ~key:"!&;$([*@=, \xff"] ();
    Testing.text "other bytes" "!&;$([*@=, \xff" (read_file (target dir).file))

(* A format that fails halfway. *)
let test_atomic () =
  let broken = {
    lines with
    shape = One_file (fun fd _ ->
      ignore (Unix.write_substring fd "half" 0 4);
      raise (Unix.Unix_error (Unix.ENOSPC, "write", "")));
  } in
  in_folder (fun dir ->
    fails "disk full" dir (fun () ->
      Keyfile.write (target ~format:broken dir) [entry "/dev/sda2" ~key:"x"]))

let test_long () =
  in_folder (fun dir ->
    let long = String.init 60_000 (fun i -> Char.chr (33 + i mod 90)) in
    let target = target dir in
    Keyfile.write target [entry "/dev/sda2" ~key:long];
    Testing.is_true "long key" (read_file target.file = long))

let test_keys () =
  let a = key_of "abc" and b = key_of "abc" and c = key_of "abd" in
  Testing.is_true "equal" (Clevis.Key.equal a b);
  Testing.is_true "not equal" (not (Clevis.Key.equal a c));
  Testing.number "length" 3 (Clevis.Key.length a);
  Testing.number "empty" 0 (Clevis.Key.length (key_of ""));
  Testing.is_true "has byte" (Clevis.Key.has_byte a 'b');
  Testing.is_true "has not" (not (Clevis.Key.has_byte a 'd'));
  Clevis.Key.release a;
  Clevis.Key.release a;
  let invalid = function Invalid_argument _ -> true | _ -> false in
  Testing.raises "released" invalid (fun () -> Clevis.Key.length a);
  Testing.raises "released, written" invalid (fun () ->
    Clevis.Key.write a Unix.stdout);
  Testing.raises "not compared" invalid (fun () -> b = c);
  Testing.raises "not marshalled" invalid (fun () -> Marshal.to_string b [])

let format name =
  List.find (fun f -> f.Key_format.name = name) Key_format.all

let three = [
  entry "/dev/sda2" ~key:"a\nb";
  entry "/dev/sda3" ~key:"c";
  entry "/dev/sda4";
  entry "/dev/sdb" ~kind:Whole_disk ~key:"a\nb";
]

let test_dir () =
  in_folder (fun dir ->
    let write ?force entries =
      Keyfile.write (target ?force ~format:(format "dir") dir) entries in
    let keys = Filename.concat dir "keys" in
    write three;
    Testing.equal "a file for each key" show ["0"; "1"] (left keys);
    Testing.equal "nothing else" show ["keys"] (left dir);
    Testing.text "first" "a\nb" (read_file (Filename.concat keys "0"));
    Testing.text "second" "c" (read_file (Filename.concat keys "1"));
    Testing.number "mode" 0o700 (Unix.stat keys).st_perm;
    Testing.number "mode of a file" 0o600
      (Unix.stat (Filename.concat keys "0")).st_perm;
    fails "exists" dir (fun () -> write three);
    write ~force:true [entry "/dev/sda2" ~key:"new"];
    Testing.equal "replaced" show ["0"] (left keys);
    Testing.text "by this" "new" (read_file (Filename.concat keys "0"));
    Testing.equal "still nothing else" show ["keys"] (left dir);
    close_out (open_out (Filename.concat keys "letter"));
    fails "not a folder of keys" dir (fun () -> write ~force:true three);
    Testing.fails "standard output"
      (fun () ->
        Keyfile.check_target
          { file = "-"; format = format "dir"; force = false }))

let test_args () =
  in_folder (fun dir ->
    let write entries =
      Keyfile.write (target ~format:(format "args") dir) entries in
    let other = "ffffffff-89ab-cdef-0123-456789abcdef" in
    fails "a newline" dir (fun () -> write three);
    fails "no UUID" dir (fun () -> write [entry "/dev/a" ~key:"k" ~uuid:"all"]);
    write [entry "/dev/sda2" ~key:"k"; entry "/dev/sda3" ~key:"k" ~uuid:other];
    let file = Filename.concat dir "keys" in
    Testing.text "arguments"
      (Printf.sprintf "--key\n%s:file:%s.d/0\n--key\n%s:file:%s.d/0\n" uuid
         file other file)
      (read_file file);
    Testing.text "key" "k" (read_file (file ^ ".d/0"));
    Testing.equal "nothing else" show ["keys"; "keys.d"] (left dir);
    fails "exists" dir (fun () -> write [entry "/dev/sda2" ~key:"k"]));
  in_folder (fun dir ->
    let file = Filename.concat dir "a:b" in
    fails "a colon" dir (fun () ->
      Keyfile.write { file; format = format "args"; force = false }
        [entry "/dev/sda2" ~key:"k"]))

let test_secret () =
  in_folder (fun dir ->
    let target = target ~format:(format "secret") dir in
    Keyfile.write target three;
    Testing.text "secret"
      "apiVersion: v1\nkind: Secret\nmetadata:\n  name: luks-keys\n\
       type: Opaque\ndata:\n  \"0\": YQpi\n  \"1\": Yw==\n"
      (read_file target.file);
    Testing.number "mode" 0o600 (Unix.stat target.file).st_perm)

let test_json () =
  in_folder (fun dir ->
    let target = target ~format:(format "json") dir in
    Keyfile.write target
      [entry "/dev/sda2" ~key:"a\nb"; entry "/dev/\"" ~key:"c" ~uuid:"\000"];
    let object_ uuid device key =
      Printf.sprintf "  {\"uuid\": \"%s\", \"device\": \"%s\", \
                      \"keyslot\": 1, \"key_base64\": \"%s\"}"
        uuid device key in
    Testing.text "json"
      ("[\n" ^ object_ uuid "/dev/sda2" "YQpi" ^ ",\n"
       ^ object_ "\\u0000" "/dev/\\\"" "Yw==" ^ "\n]\n")
      (read_file target.file))

let () =
  Signals.catch ();
  test_keys ();
  test_order ();
  test_replace ();
  test_not_regular ();
  test_content ();
  test_atomic ();
  test_long ();
  test_dir ();
  test_args ();
  test_secret ();
  test_json ();
  Testing.finish ()
