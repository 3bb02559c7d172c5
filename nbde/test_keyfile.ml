(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Key files: what is in them, and that they appear complete or not at all.
 *)

let key_of text =
  let reading, writing = Unix.pipe ~cloexec:true () in
  ignore (Unix.write_substring writing text 0 (String.length text));
  Unix.close writing;
  Fun.protect ~finally:(fun () -> Unix.close reading) (fun () ->
    Clevis.Key.read reading)

let entry ?key ?(kind = Types.Partition) device =
  { Keyfile.device; kind; key = Option.map key_of key }

let lines = List.hd Keyfile.formats

let read_file name =
  let channel = open_in_bin name in
  Fun.protect ~finally:(fun () -> close_in channel) (fun () ->
    really_input_string channel (in_channel_length channel))

(* Run f with the name of a folder that is empty before, and see what it has
 * left there.
 *)
let in_folder f =
  let dir = Filename.temp_file "nbde" ".d" in
  Sys.remove dir;
  Unix.mkdir dir 0o700;
  let remove name = Sys.remove (Filename.concat dir name) in
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
  Testing.raises name (function Keyfile.Error _ -> true | _ -> false) f;
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
  Testing.raises "no folder"
    (function Keyfile.Error _ -> true | _ -> false)
    (fun () -> Keyfile.check_target (target "/nonexistent/folder"));
  Testing.raises "no folder, written"
    (function Keyfile.Error _ -> true | _ -> false)
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
    write = (fun fd _ ->
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

let () =
  ignore (Clevis.init ());
  Signals.catch ();
  test_keys ();
  test_order ();
  test_replace ();
  test_not_regular ();
  test_content ();
  test_atomic ();
  test_long ();
  Testing.finish ()
