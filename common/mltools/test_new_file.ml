(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Files that are there whole or not at all.  It runs in an empty folder.
 *)

let text words fd = Files.write_text fd words

let read name =
  let channel = open_in_bin name in
  Fun.protect ~finally:(fun () -> close_in channel) (fun () ->
    really_input_string channel (in_channel_length channel))

let there name expected =
  Testing.equal name (Testing.list Fun.id) expected
    (List.sort compare (Array.to_list (Sys.readdir ".")))

let mode name = (Unix.stat name).st_perm

exception Stop

let stops name f = Testing.raises name (fun e -> e = Stop) f

let is_taken = function
  | Unix.Unix_error (Unix.EEXIST, _, _) -> true
  | _ -> false

let write ?made ?perms ?(replace = false) ?(check = ignore) words =
  New_file.write ?made ?perms ~replace ~check "file" (text words)

let test_file () =
  write "one";
  Testing.text "new" "one" (read "file");
  Testing.number "mode" 0o600 (mode "file");
  Testing.raises "taken" is_taken (fun () -> write "two");
  Testing.text "kept" "one" (read "file");
  stops "checked" (fun () ->
    write ~replace:true ~check:(fun () -> raise Stop) "three");
  stops "not written" (fun () ->
    New_file.write ~replace:true ~check:ignore "file" (fun fd ->
      text "half" fd;
      raise Stop));
  Testing.text "still" "one" (read "file");
  let hidden = ref "" in
  let made name =
    hidden := name;
    Testing.is_true "made" (Sys.file_exists name) in
  write ~made ~perms:0o644 ~replace:true "four";
  Testing.text "replaced" "four" (read "file");
  Testing.number "its mode" 0o644 (mode "file");
  Testing.is_true "hidden" (!hidden <> "" && not (Sys.file_exists !hidden));
  there "only the file" ["file"];
  Unix.unlink "file"

let test_all () =
  let write_all ?(replace = false) words =
    New_file.write_all ~replace ~check:ignore
      (List.map (fun word -> word, text word) words) in
  write_all ["a"; "b"];
  there "both" ["a"; "b"];
  Unix.unlink "a";
  Testing.raises "the second is taken" is_taken (fun () ->
    write_all ["a"; "b"]);
  there "neither" ["b"];
  write_all ~replace:true ["a"; "b"];
  there "both again" ["a"; "b"];
  List.iter Unix.unlink ["a"; "b"]

let write_folder ?(check = ignore) words =
  New_file.write_folder ~check "folder"
    (List.map (fun word -> word, text word) words)

let test_folder () =
  write_folder ["a"; "b"];
  Testing.text "a" "a" (read "folder/a");
  Testing.number "mode of the folder" 0o700 (mode "folder");
  Testing.number "mode in it" 0o600 (mode "folder/b");
  stops "folder checked" (fun () ->
    write_folder ~check:(fun () -> raise Stop) ["c"]);
  Testing.text "folder kept" "b" (read "folder/b");
  write_folder ["c"];
  Testing.is_true "folder replaced"
    (Sys.readdir "folder" = [| "c" |] && read "folder/c" = "c");
  there "only the folder" ["folder"]

let () =
  ignore (Unix.umask 0o022);
  test_file ();
  test_all ();
  test_folder ();
  Testing.finish ()
