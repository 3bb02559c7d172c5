(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The file with a process ID, in a folder where others have been before: what
 * they put there is neither followed nor written over.
 *)

let pid = 4711
let file = "pid"
let victim = "victim"
let precious = "precious\n"

let save name text =
  let channel = open_out_bin name in
  Fun.protect ~finally:(fun () -> close_out channel) (fun () ->
    output_string channel text)

let contents name =
  let channel = open_in_bin name in
  Fun.protect ~finally:(fun () -> close_in channel) (fun () ->
    really_input_string channel (in_channel_length channel))

let mode name = (Unix.lstat name).st_perm

let is_there name =
  match Unix.lstat name with
  | _ -> true
  | exception Unix.Unix_error (Unix.ENOENT, _, _) -> false

let is_error = function
  | Failure.Error { message; _ } -> String.starts_with ~prefix:"pid: " message
  | _ -> false

let files () = List.sort compare (Array.to_list (Sys.readdir "."))

(* In an empty folder of its own, where the victim is. *)
let test folder f =
  Unix.mkdir folder 0o700;
  Sys.chdir folder;
  save victim precious;
  f ();
  Testing.text (folder ^ ": the victim") precious (contents victim);
  Sys.chdir ".."

let write () =
  let made = ref [] in
  Pidfile.write file pid ~made:(fun name -> made := name :: !made);
  Testing.number "temporary files" 1 (List.length !made);
  Testing.is_true "the temporary file has become it"
    (not (List.exists is_there !made));
  Testing.text "what was written" "4711\n" (contents file);
  Testing.equal "files" (Testing.list Fun.id) [file; victim] (files ())

let test_new () =
  Pidfile.check file;
  ignore (Unix.umask 0o022);
  write ();
  Testing.number "its mode" 0o644 (mode file);
  Pidfile.remove file (pid + 1);
  Testing.is_true "that of another process stays" (is_there file);
  Pidfile.remove file pid;
  Testing.is_true "removed" (not (is_there file));
  Pidfile.remove file pid

(* Of a process that was killed, or of one that was killed before it wrote. *)
let test_stale text () =
  save file text;
  Pidfile.check file;
  write ()

(* Whoever guesses the name of the temporary file. *)
let test_guessed () =
  let guesses = List.init 3 (fun i -> pid - 1 + i) in
  let name guess = Printf.sprintf "%s.%d" file guess in
  List.iter (fun guess -> Unix.symlink victim (name guess)) guesses;
  Pidfile.check file;
  Pidfile.write file pid ~made:ignore;
  Testing.text "what was written" "4711\n" (contents file);
  Testing.is_true "it is a file" ((Unix.lstat file).st_kind = Unix.S_REG);
  List.iter (fun guess ->
    Testing.is_true "the link stays" (is_there (name guess))) guesses

let refused what =
  Testing.raises (what ^ " is refused") is_error (fun () ->
    Pidfile.check file);
  Testing.raises (what ^ " is not written over") is_error (fun () ->
    Pidfile.write file pid ~made:ignore);
  Pidfile.remove file pid;
  Testing.is_true (what ^ " stays") (is_there file)

let test_link target () =
  Unix.symlink target file;
  refused "a link";
  Testing.is_true "its target was not made"
    (target = victim || not (is_there target))

(* Even one with the right number is not ours. *)
let test_link_to_number () =
  save "number" "4711\n";
  Unix.symlink "number" file;
  refused "a link to a number";
  Testing.is_true "the number stays" (is_there "number")

let test_other_file text () =
  save file text;
  refused "a file with other text";
  Testing.text "its text" text (contents file)

let test_folder () =
  Unix.mkdir file 0o700;
  refused "a folder"

(* To open it would wait for its other end. *)
let test_fifo () =
  Unix.mkfifo file 0o600;
  ignore (Unix.alarm 20);
  refused "a FIFO";
  ignore (Unix.alarm 0)

let test_no_folder () =
  Testing.raises "no folder"
    (function Failure.Error { message; _ } ->
       String.starts_with ~prefix:"none: " message | _ -> false)
    (fun () -> Pidfile.check "none/pid")

let () =
  test "new" test_new;
  test "stale" (test_stale "4712\n");
  test "empty" (test_stale "");
  test "guessed" test_guessed;
  test "link" (test_link victim);
  test "dangling" (test_link "nowhere");
  test "number" test_link_to_number;
  test "text" (test_other_file precious);
  test "lines" (test_other_file "4711\n4712\n");
  test "long" (test_other_file (String.make 4096 '1'));
  test "folder" test_folder;
  test "fifo" test_fifo;
  test "none" test_no_folder;
  Testing.finish ()
