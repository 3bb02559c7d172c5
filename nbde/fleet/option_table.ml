(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The options of virt-nbde-fleet.
 *)

open Printf

open Gettext
open Options

type messages = {
  quiet : bool;
  verbose : bool;
  colours : bool;
  machine_readable : Messages.output option;
}

let program = "virt-nbde-fleet"

(* What the options make, from left to right. *)
type t = {
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
    (value "SECONDS" (fun s p ->
       { p with limit = Some (seconds ~least:0.1 s) }))
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
  listed
    [program; "list"; "preflight"; "keys"; "run"; "report"; "index"; "domains";
     "retry-failed"]
