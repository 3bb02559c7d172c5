(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the test programs need.
 *)

open Printf

let checks = ref 0
let failures = ref 0

let check name ok complaint =
  incr checks;
  if not ok then (
    incr failures;
    eprintf "FAIL: %s: %s\n%!" name (complaint ())
  )

let equal name show expected found =
  check name (expected = found) (fun () ->
    sprintf "expected %s, found %s" (show expected) (show found))

let text name = equal name (sprintf "%S")
let number name = equal name string_of_int
let is_true name ok = check name ok (fun () -> "does not hold")

let raises name wanted f =
  match f () with
  | _ -> check name false (fun () -> "no exception")
  | exception e ->
     check name (wanted e) (fun () ->
       sprintf "other exception: %s" (Printexc.to_string e))

let fails name f =
  raises name (function Failure.Error _ -> true | _ -> false) f

let refuses name expected f =
  let is_expected = function
    | Options.Error error ->
       text name expected (Options.error_message error);
       true
    | _ -> false in
  raises name is_expected f

let list show items = sprintf "[%s]" (String.concat "; " (List.map show items))

let read_file name =
  let channel = open_in_bin name in
  Fun.protect ~finally:(fun () -> close_in channel) (fun () ->
    really_input_string channel (in_channel_length channel))

let write_file name text =
  let channel = open_out_bin name in
  output_string channel text;
  close_out channel

let contains text part =
  let length = String.length part in
  let rec search i =
    i + length <= String.length text
    && (String.sub text i length = part || search (i + 1)) in
  search 0

let in_folder f =
  let before = Sys.getcwd () in
  let folder = Files.make_folder ~parent:before ~prefix:"testing-" in
  let finally () =
    Sys.chdir before;
    Files.remove folder in
  Fun.protect ~finally (fun () ->
    Sys.chdir folder;
    f folder)

let finish () =
  printf "%d checks, %d failed\n%!" !checks !failures;
  (* A test that checks nothing has not passed. *)
  exit (if !failures = 0 && !checks > 0 then 0 else 1)
