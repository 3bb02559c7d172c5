(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The command line of virt-nbde-fleet.
 *)

open Gettext
open Options

type run = {
  action : Guest.action;
  source : Guest_list.source;
  command : string list;
  state : string;
  format : string option;
  parallel : int;
  retries : int;
  pause : float;
  retry_failed : bool;
  index : int option;
  timeout : float option;
  keys_folder : string option;
  keys_format : string;
  passed : string list;
}

type report = {
  state : string;
  format : string option;
  output : string option;
}

type what =
  | Work of run
  | Report of report

type messages = Option_table.messages = {
  quiet : bool;
  verbose : bool;
  colours : bool;
  machine_readable : Messages.output option;
}

type t =
  | Print of string
  | Go of messages * what

let program = Option_table.program

let processors () =
  let is_processor line = String.starts_with ~prefix:"processor" line in
  match open_in "/proc/cpuinfo" with
  | exception Sys_error _ -> 1
  | channel ->
     let rec count n =
       match input_line channel with
       | line -> count (if is_processor line then n + 1 else n)
       | exception End_of_file -> n in
     Fun.protect ~finally:(fun () -> close_in channel) (fun () ->
       max 1 (count 0))

let state_of (p : Option_table.t) =
  match p.state_folder with
  | Some folder -> folder
  | None -> usage (f_"option --state is missing")

let source (p : Option_table.t) arguments =
  match p.domains, arguments with
  | true, rest -> Guest_list.Domains { uri = p.uri }, rest
  | false, _ when p.uri <> None -> usage (f_"option -c needs --domains")
  | false, list :: rest -> Guest_list.List list, rest
  | false, [] -> usage (f_"no guests were given: LIST, a folder or --domains")

let check_command action ~domains command =
  match action, command with
  | Guest.Run, [] -> usage (f_"'run' needs a command after '--'")
  | Guest.Run, words ->
     if domains && List.exists (Command.names_disks) words then
       usage (f_"{disks} cannot be combined with --domains: what the disks are \
                 is for libvirt to say")
  | (List | Preflight | Keys), [] -> ()
  | (List | Preflight | Keys), argument :: _ ->
     usage (f_"there is an argument too many: '%s'") (Escape.text argument)

(* Options that mean nothing for this action would be wishes that nobody hears. *)
let check_options (p : Option_table.t) action =
  let only option given actions =
    if given && not (List.mem action actions) then
      usage (f_"option %s does not go with '%s'") option
        (Guest.action_name action) in
  only "--keys-dir" (p.folder <> None) [Guest.Keys];
  only "--keys-format" (p.key_format <> None) [Guest.Keys];
  only "--no-probe" (List.mem "--no-probe" p.passed_on) [Guest.Preflight];
  only "--output" (p.output_file <> None) []

let default_timeout = 3600.

let work (p : Option_table.t) action arguments =
  let source, command = source p arguments in
  check_command action ~domains:p.domains command;
  check_options p action;
  let parallel =
    match p.children with
    | Some n -> n
    | None -> processors () in
  let timeout =
    match p.limit, action with
    | None, (List | Preflight | Keys) -> Some default_timeout
    | limit, _ -> limit in
  Work {
    action; source; command; parallel; timeout;
    state = state_of p;
    format = p.disk_format;
    retries = p.tries_again;
    pause = p.first_pause;
    retry_failed = p.failed_too;
    index = p.number;
    keys_folder = p.folder;
    keys_format = Option.value p.key_format ~default:"dir";
    passed = List.rev p.passed_on;
  }

let report (p : Option_table.t) arguments =
  (match arguments with
   | [] -> ()
   | argument :: _ ->
      usage (f_"there is an argument too many: '%s'") (Escape.text argument));
  Report { state = state_of p; format = p.disk_format; output = p.output_file }

let actions_text = "list, preflight, keys, run, report"

let finish (p : Option_table.t) arguments =
  match arguments with
  | [] when p.messages.machine_readable <> None -> Print Option_table.features
  | [] -> usage (f_"no action was given: one of %s") actions_text
  | "report" :: rest -> Go (p.messages, report p rest)
  | name :: rest ->
     match Guest.action_of_name name with
     | Some action -> Go (p.messages, work p action rest)
     | None ->
        usage (f_"'%s' is not an action; there are: %s") (Escape.text name)
          actions_text

let parse argv =
  match Options.parse (Option_table.options ()) Option_table.initial argv with
  | p, arguments -> finish p arguments
  | exception Option_table.Print_only text -> Print text
