(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The command line of virt-nbde-fleet.
 *)

open Printf

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

type messages = {
  quiet : bool;
  verbose : bool;
  colours : bool;
  machine_readable : Messages.output option;
}

type t =
  | Print of string
  | Go of messages * what

let program = "virt-nbde-fleet"

(* What the options make, from left to right. *)
type parsing = {
  messages : messages;
  uri : string option;
  domains : bool;
  state_folder : string option;
  disk_format : string option;
  children : int option;
  tries_again : int;
  first_pause : float;
  failed_too : bool;
  number : int option;
  limit : float option;
  folder : string option;
  key_format : string option;
  output_file : string option;
  passed_on : string list;      (* in reverse *)
}

let initial = {
  messages = { quiet = false; verbose = false; colours = false;
               machine_readable = None };
  uri = None;
  domains = false;
  state_folder = None;
  disk_format = None;
  children = None;
  tries_again = 3;
  first_pause = 5.;
  failed_too = false;
  number = None;
  limit = None;
  folder = None;
  key_format = None;
  output_file = None;
  passed_on = [];
}

(* --help and its like end the parsing where they stand. *)
exception Print_only of string

let listed names = String.concat "" (List.map (fun name -> name ^ "\n") names)

let messages f p = { p with messages = f p.messages }

(* A week is longer than anybody waits for a guest. *)
let seconds ~least text =
  let plain =
    String.for_all (function '0'..'9' | '.' -> true | _ -> false) text in
  match if plain then float_of_string_opt text else None with
  | Some n when n >= least && n <= 604_800. -> n
  | Some _ | None -> raise (Invalid (s_"not a number of seconds"))

let set_machine_readable text =
  let output =
    Option.fold ~none:Messages.Stdout ~some:Messages.output_of_string text in
  messages (fun m -> { m with machine_readable = Some output })

(* Each has two pipes, there may be as many again that wait for servers, and
 * select(2) knows 1024 descriptors.
 *)
let most_children = 240

let text set value = not_empty value; set value

let by_name a b =
  let letters option =
    let name = List.hd (List.rev option.names) in
    String.concat "" (String.split_on_char '-' name) in
  compare (String.lowercase_ascii (letters a))
    (String.lowercase_ascii (letters b))

let work_options = [
  opt ["-c"; "--connect"]
    (value "URI" (text (fun uri p -> { p with uri = Some uri })))
    (s_"Where libvirt is, for --domains");
  opt ["--domains"]
    (Flag (fun p -> { p with domains = true }))
    (s_"All guests that libvirt knows, instead of LIST");
  opt ["--format"]
    (value "FORMAT" (text (fun f p -> { p with disk_format = Some f })))
    (s_"Format of disks that LIST has none for; format of the report");
  opt ["--index"]
    (value "N" (fun n p ->
       { p with number = Some (integer ~least:0 ~greatest:max_int n) }))
    (s_"Do the N-th guest of LIST, from 0, and exit with its status");
  opt ["--keys-dir"]
    (value "DIR" (text (fun dir p -> { p with folder = Some dir })))
    (s_"Where 'keys' writes them (default: keys in the state folder)");
  opt ["--keys-format"]
    (value "FORMAT" (text (fun f p -> { p with key_format = Some f })))
    (s_"How 'keys' writes them (default: dir)");
  opt ["-o"; "--output"]
    (value "FILE" (text (fun file p -> { p with output_file = Some file })))
    (s_"Where 'report' writes to (default: standard output)");
  opt ["-P"; "--parallel"]
    (value "N" (fun n p ->
       { p with children =
                  Some (integer ~least:1 ~greatest:most_children n) }))
    (s_"Guests at a time (default: number of processors)");
  opt ["--pause"]
    (value "SECONDS" (fun s p -> { p with first_pause = seconds ~least:0. s }))
    (s_"Pause before the first time a guest is tried again (default: 5)");
  opt ["--retries"]
    (value "N" (fun n p ->
       { p with tries_again = integer ~least:0 ~greatest:100 n }))
    (s_"How often it is, for want of a server (default: 3)");
  opt ["--retry-failed"]
    (Flag (fun p -> { p with failed_too = true }))
    (s_"Do guests that failed in an earlier run again");
  opt ["--state"]
    (value "DIR" (text (fun dir p -> { p with state_folder = Some dir })))
    (s_"Folder in which is kept what became of each guest");
  opt ["--timeout"]
    (value "SECONDS" (fun s p -> { p with limit = Some (seconds ~least:0.1 s) }))
    (s_"Longest time for a guest (default: 3600; none with 'run')");
]

let rec options () =
  List.stable_sort by_name
    (work_options @ own_options ()
     @ of_part (fun f p -> { p with passed_on = f p.passed_on })
         Passable.options)

and own_options () = [
  opt ["--colors"; "--color"; "--colours"; "--colour"]
    (Flag (messages (fun m -> { m with colours = true })))
    (s_"Use ANSI colours even if it is not a terminal");
  opt ["--help"]
    (Flag (fun _ -> raise (Print_only (help_text ()))))
    (s_"Display brief help");
  opt ["--long-options"]
    (Flag (fun _ -> raise (Print_only (listed (long_options (options ()))))))
    (s_"List the long options");
  opt ["--machine-readable"]
    (Optional { metavar = "FORMAT"; set = set_machine_readable })
    (s_"Print a line of JSON for each guest; alone, print the features");
  opt ["-q"; "--quiet"]
    (Flag (messages (fun m -> { m with quiet = true })))
    (s_"Print only guests that are not done");
  opt ["--short-options"]
    (Flag (fun _ -> raise (Print_only (listed (short_options (options ()))))))
    (s_"List the short options");
  opt ["-v"; "--verbose"]
    (Flag (messages (fun m -> { m with verbose = true })))
    (s_"Print debugging messages");
  opt ["-V"; "--version"]
    (Flag (fun _ ->
       raise (Print_only (sprintf "%s %s\n" program Package.version))))
    (s_"Display version and exit");
]

and help_text () =
  sprintf (f_"%s: open many guests whose disks are bound to Tang servers\n\
\n \
 %s list|preflight|keys LIST|DIR|--domains --state DIR [options]\n \
 %s run LIST|DIR|--domains --state DIR [options] -- COMMAND...\n \
 %s report --state DIR [--format FORMAT] [-o FILE]\n\
\n\
Each guest is opened by a virt-nbde-unlock of its own.  What became of it is\n\
kept in the state folder, and the same command goes on where it was ended.\n\
Below is a summary of the options; %s(1) tells more.\n\
\n\
Options:\n\
%s")
    program program program program program (help (options ()))

let features =
  [program; "list"; "preflight"; "keys"; "run"; "report"; "index"; "domains";
   "retry-failed"]

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

let state_of p =
  match p.state_folder with
  | Some folder -> folder
  | None -> usage (f_"option --state is missing")

let source p arguments =
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
let check_options p action =
  let only option given actions =
    if given && not (List.mem action actions) then
      usage (f_"option %s does not go with '%s'") option
        (Guest.action_name action) in
  only "--keys-dir" (p.folder <> None) [Guest.Keys];
  only "--keys-format" (p.key_format <> None) [Guest.Keys];
  only "--no-probe" (List.mem "--no-probe" p.passed_on) [Guest.Preflight];
  only "--output" (p.output_file <> None) []

let default_timeout = 3600.

let work p action arguments =
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

let report p arguments =
  (match arguments with
   | [] -> ()
   | argument :: _ ->
      usage (f_"there is an argument too many: '%s'") (Escape.text argument));
  Report { state = state_of p; format = p.disk_format; output = p.output_file }

let actions_text = "list, preflight, keys, run, report"

let finish p arguments =
  match arguments with
  | [] when p.messages.machine_readable <> None -> Print (listed features)
  | [] -> usage (f_"no action was given: one of %s") actions_text
  | "report" :: rest -> Go (p.messages, report p rest)
  | name :: rest ->
     match Guest.action_of_name name with
     | Some action -> Go (p.messages, work p action rest)
     | None ->
        usage (f_"'%s' is not an action; there are: %s") (Escape.text name)
          actions_text

let parse argv =
  match Options.parse (options ()) initial argv with
  | p, arguments -> finish p arguments
  | exception Print_only text -> Print text
