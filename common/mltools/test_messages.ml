(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Messages as text on standard error, and as JSON where it is wanted.
 *)

let read_file = Testing.read_file

(* What f writes to standard error. *)
let captured f =
  let name, channel = Filename.open_temp_file "nbde" ".err" in
  flush stderr;
  let saved = Unix.dup Unix.stderr in
  Unix.dup2 (Unix.descr_of_out_channel channel) Unix.stderr;
  let restore () =
    flush stderr;
    Unix.dup2 saved Unix.stderr;
    Unix.close saved;
    close_out channel in
  Fun.protect ~finally:restore f;
  Fun.protect ~finally:(fun () -> Sys.remove name) (fun () -> read_file name)

let with_settings settings f =
  captured (fun () ->
    Messages.set settings;
    f ();
    Messages.set Messages.default)

(* The first time a hint is given. *)
let hints = ref 0
let new_hint () =
  incr hints;
  Printf.sprintf "try %d" !hints

let all () =
  Messages.message "Doing %d" 1;
  Messages.info "note";
  Messages.warning "careful\027";
  Messages.error "bad";
  Messages.hint "%s" (new_hint ());
  Messages.debug "detail"

let lines text = List.filter ((<>) "") (String.split_on_char '\n' text)

let show = Testing.list (Printf.sprintf "%S")

(* The time is not the same each time. *)
let without_time line =
  if String.starts_with ~prefix:"[" line then
    String.sub line 8 (String.length line - 8)
  else line

let test_text () =
  let p = Package.name in
  let found settings =
    List.map without_time (lines (with_settings settings all)) in
  Testing.equal "normal" show
    [" Doing 1"; p ^ ": note"; p ^ ": warning: careful\\x1b";
     p ^ ": error: bad"; p ^ ": hint: try 1"]
    (found Messages.default);
  Testing.equal "quiet" show
    [p ^ ": warning: careful\\x1b"; p ^ ": error: bad"; p ^ ": hint: try 2"]
    (found { Messages.default with quiet = true });
  Testing.equal "verbose" show
    [" Doing 1"; p ^ ": note"; p ^ ": warning: careful\\x1b";
     p ^ ": error: bad";
     p ^ ": hint: try 3"; p ^ ": detail"]
    (found { Messages.default with verbose = true });
  Testing.equal "colours" show
    ["\027[31m" ^ p ^ ": error:\027[0m bad"]
    (lines (with_settings { Messages.default with colours = true }
              (fun () -> Messages.error "bad")))

(* Fifty devices with the same trouble need the advice once. *)
let test_hint_is_given_once () =
  let p = Package.name in
  let text =
    with_settings Messages.default (fun () ->
      Messages.error "first";
      Messages.hint "the same %s" "hint";
      Messages.error "second";
      Messages.hint "the same %s" "hint";
      Messages.hint "another") in
  Testing.equal "once" show
    [p ^ ": error: first"; p ^ ": hint: the same hint"; p ^ ": error: second";
     p ^ ": hint: another"]
    (lines text)

let test_wrap () =
  let long = String.concat " " (List.init 40 (fun _ -> "word")) in
  let found =
    lines (with_settings { Messages.default with wrap = true }
             (fun () -> Messages.error "%s" long)) in
  Testing.number "wrapped" 3 (List.length found);
  Testing.is_true "78 columns"
    (List.for_all (fun line -> String.length line <= 78) found);
  Testing.number "not wrapped" 1
    (List.length (lines (with_settings Messages.default
                           (fun () -> Messages.error "%s" long))))

let test_json () =
  let name = Filename.temp_file "nbde" ".json" in
  let channel = Messages.open_output (Messages.output_of_string
                                        ("file:" ^ name)) in
  let text =
    let machine_readable = Some channel in
    with_settings { Messages.default with machine_readable } all in
  close_out channel;
  let found = lines (read_file name) in
  Sys.remove name;
  Testing.text "no text" "" text;
  Testing.number "one line each" 5 (List.length found);
  let first = List.hd found in
  Testing.is_true "message"
    (String.starts_with ~prefix:"{\"message\": \"Doing 1\", \"timestamp\": \"2"
       first);
  Testing.is_true "type"
    (String.ends_with ~suffix:"Z\", \"type\": \"message\"}" first)

let test_progress () =
  let name = Filename.temp_file "nbde" ".json" in
  let channel = open_out name in
  let report position = Messages.progress ~position ~total:10L in
  let reported = ref false in
  let report_all () =
    (* The second comes too soon after the first, the last always counts. *)
    reported := List.for_all report [1L; 2L; 10L] in
  ignore (with_settings
            { Messages.default with machine_readable = Some channel }
            report_all);
  close_out channel;
  let found = lines (read_file name) in
  Sys.remove name;
  Testing.is_true "reported" !reported;
  Testing.number "not too often" 2 (List.length found);
  Testing.is_true "numbers"
    (String.ends_with
       ~suffix:"\"type\": \"progress\", \"position\": 10, \"total\": 10}"
       (List.nth found 1));
  Testing.text "nobody to report to" ""
    (with_settings Messages.default (fun () -> reported := report 1L));
  Testing.is_true "not reported" (not !reported)

let test_outputs () =
  let output = Messages.output_of_string in
  Testing.is_true "stdout" (output "stream:stdout" = Stdout);
  Testing.is_true "stderr" (output "stream:stderr" = Stderr);
  Testing.is_true "file" (output "file:a:b" = File "a:b");
  Testing.is_true "descriptor" (output "fd:3" = Descriptor 3);
  let rejects text =
    Testing.raises text (function Options.Invalid _ -> true | _ -> false)
      (fun () -> output text) in
  List.iter rejects [""; "stdout"; "file:"; "fd:"; "fd:x"; "stream:other"];
  Testing.raises "closed descriptor"
    (function Sys_error _ -> true | _ -> false)
    (fun () -> Messages.open_output (Descriptor 4000))

let () =
  test_text ();
  test_hint_is_given_once ();
  test_wrap ();
  test_json ();
  test_progress ();
  test_outputs ();
  Testing.finish ()
