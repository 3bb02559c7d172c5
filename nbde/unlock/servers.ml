(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How servers are asked.
 *)

open Gettext

type allowed =
  | Pattern of string
  | Patterns_in of string

type files = {
  carried : string;
  state : string;
}

type way =
  | Online
  | Collect of { files : files; replace : bool }
  | Replies of files

type settings = {
  allow : allowed list;
  map : string list;
  resolve : string list;
  cacert : string option;
  cert : string option;
  key : string option;
  proxy : string option;
  no_proxy : bool;
  timeout : float option;
  connect_timeout : float option;
  deadline : float option;
  retries : int option;
  parallel : int option;
  share : string option;
  keydir : string option;
  way : way;
}

let default = {
  allow = [];
  map = [];
  resolve = [];
  cacert = None;
  cert = None;
  key = None;
  proxy = None;
  no_proxy = false;
  timeout = None;
  connect_timeout = None;
  deadline = None;
  retries = None;
  parallel = None;
  share = None;
  keydir = None;
  way = Online;
}

let state_suffix = ".state"
let replies_suffix = ".replies"

let default_state ~requests = requests ^ state_suffix

let state_of_replies ~replies =
  if Filename.check_suffix replies replies_suffix then
    Some (default_state ~requests:(Filename.chop_suffix replies replies_suffix))
  else None

let check_proxy url =
  let known scheme =
    let prefix = scheme ^ "://" in
    String.starts_with ~prefix (String.lowercase_ascii url)
    && String.length url > String.length prefix in
  List.exists known ["http"; "https"; "socks5h"]

let patterns text =
  let without_comment line =
    match String.index_opt line '#' with
    | Some i -> String.sub line 0 i
    | None -> line in
  String.split_on_char '\n' text
  |> List.map (fun line -> String.trim (without_comment line))
  |> List.filter (fun line -> line <> "")

(* Of the user, so this catches mistakes. *)
let greatest_file = 1_048_576

let check_file ~option name =
  let fail code = Failure.of_code (option ^ " " ^ name) code in
  match
    Unix.access name [Unix.R_OK];
    Unix.stat name
  with
  | { st_kind = Unix.S_DIR; _ } -> fail Unix.EISDIR
  | { st_size = 0; st_kind = Unix.S_REG; _ } ->
     Failure.error (f_"%s %s: the file is empty") option name
  | _ -> ()
  | exception Unix.Unix_error (code, _, _) -> fail code

let read_file ~option name =
  check_file ~option name;
  try
    let channel = open_in_bin name in
    let finally () = close_in_noerr channel in
    Fun.protect ~finally (fun () ->
      if in_channel_length channel > greatest_file then
        Failure.error (f_"%s %s: the file is larger than %d bytes") option name
          greatest_file;
      really_input_string channel (in_channel_length channel))
  with Sys_error message -> Failure.error "%s %s" option message

let allow_file policy name =
  let option = "--tang-allow-file" in
  let found = patterns (read_file ~option name) in
  (* With no pattern, every server would be allowed. *)
  if found = [] then
    Failure.error (f_"%s %s: there is no pattern in it") option name;
  List.iter (Clevis.Policy.allow policy) found

let allow policy = function
  | Pattern pattern -> Clevis.Policy.allow policy pattern
  | Patterns_in name -> allow_file policy name

let set_file option set policy name =
  check_file ~option name;
  set policy name

(* A file in the way is found before the appliance is started, too. *)
let collect policy { carried; state } ~replace =
  let check name =
    if not replace && (Unix.lstat name).st_kind <> Unix.S_DIR then
      Failure.of_code ~hint:(s_"Use --force to replace it.") name Unix.EEXIST in
  List.iter
    (fun name -> try check name with Unix.Unix_error _ -> ())
    [carried; state];
  Clevis.Policy.collect_requests policy

let set_way policy = function
  | Online -> ()
  | Collect { files; replace } -> collect policy files ~replace
  | Replies { carried = replies; state } ->
     check_file ~option:"--import-replies" replies;
     (match Unix.access state [Unix.R_OK] with
      | () -> ()
      | exception Unix.Unix_error (code, _, _) ->
         Failure.error
           ~hint:(s_"It was written with the requests; --requests-state says \
                     where it is.")
           (f_"%s: the state of the requests cannot be read: %s") state
           (Unix.error_message code));
     Clevis.Policy.use_replies policy ~state ~replies

let policy s =
  let p = Clevis.Policy.create () in
  let set f = Option.iter (f p) in
  List.iter (allow p) s.allow;
  List.iter (Clevis.Policy.map p) s.map;
  List.iter (Clevis.Policy.resolve p) s.resolve;
  set (set_file "--tang-cacert" Clevis.Policy.set_cacert) s.cacert;
  set (set_file "--tang-cert" Clevis.Policy.set_cert) s.cert;
  set (set_file "--tang-key" Clevis.Policy.set_key) s.key;
  set Clevis.Policy.set_proxy s.proxy;
  if s.no_proxy then Clevis.Policy.set_no_proxy p "*";
  set Clevis.Policy.set_timeout s.timeout;
  set Clevis.Policy.set_connect_timeout s.connect_timeout;
  set Clevis.Policy.set_deadline s.deadline;
  set Clevis.Policy.set_retries s.retries;
  set Clevis.Policy.set_parallel s.parallel;
  set Clevis.Policy.set_share s.share;
  set Clevis.Policy.set_keydir s.keydir;
  set_way p s.way;
  p

let forget s =
  match s.way with
  | Online | Collect _ -> ()
  | Replies { state; _ } -> Unix.unlink state
