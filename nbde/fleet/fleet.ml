(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * virt-nbde-fleet: the steps in order.  Only here errors are printed and only
 * here the program ends.
 *)

open Printf

open Gettext

let program = Fleet_options.program

let set_messages (m : Fleet_options.messages) =
  Messages.set {
    Messages.default with
    quiet = m.quiet;
    verbose = m.verbose;
    colours = m.colours;
    machine_readable = Option.map Messages.open_output m.machine_readable;
  }

let command_settings (c : Fleet_options.run) state : Command.settings =
  let program = Command.find_program () in
  { program;
    servers = State.servers_folder state;
    passed = c.passed;
    uri = (match c.source with
           | Domains { uri } -> uri
           | List _ -> None);
    keys_folder = Option.value c.keys_folder ~default:(State.keys_folder state);
    own_keys = c.keys_folder = None;
    keys_format = c.keys_format;
    command = c.command }

(* Options are the same for most guests. *)
let check_options (command : Command.settings) guests =
  let keys = "--output-keys-format=" ^ command.keys_format in
  let share = "--tang-share=" ^ command.servers in
  Command.check_options command (keys :: share :: command.passed);
  let of_guests =
    List.sort_uniq compare
      (List.map (fun (guest : Guest.t) -> guest.options)
         (Array.to_list guests)) in
  List.iter (Command.check_options command) of_guests

(* Not five hundred times, by each child. *)
let check_keys use (command : Command.settings) guests =
  (* The format 'args' makes a folder beside its file. *)
  if command.keys_format = "args" then Guest_list.check_apart guests ".d";
  State.prepare_keys use command.keys_folder

let check_index (c : Fleet_options.run) guests =
  let n = Array.length guests in
  Option.iter (fun index ->
    if index >= n then
      Failure.error (f_"option --index: there is no guest %d, the last one is \
                        %d") index (n - 1)) c.index

let in_state (c : Fleet_options.run) use guests state =
  let command = command_settings c state in
  check_options command guests;
  if c.action = Guest.Keys then check_keys use command guests;
  let work = {
    Work.action = c.action; guests; command;
    schedule = {
      Schedule.parallel = c.parallel; retries = c.retries; pause = c.pause;
      (* What a server that is down means for each guest is what it finds. *)
      holds = c.action <> Guest.Preflight;
    };
    retry_failed = c.retry_failed;
    timeout = c.timeout;
  } in
  match c.index with
  | Some index -> Work.one work state index
  | None -> Work.all work state

let work (c : Fleet_options.run) =
  let guests = Guest_list.read ~format:c.format c.source in
  check_index c guests;
  Command.check guests c.command;
  let use = if c.index = None then State.Alone else State.Shared in
  let state = State.open_folder use c.state in
  Fun.protect ~finally:(fun () -> State.close state) (fun () ->
    in_state c use guests state)

let report { Fleet_options.state; format; output } =
  let format =
    Option.fold ~none:Report.Text ~some:Report.format_of_name format in
  print_string (Report.run ~state ~format ~output);
  0

let usage_advice =
  sprintf (f_"Try '%s --help' or consult %s(1) for more information.")
    program program

let explain = function
  | Options.Error error ->
     Messages.error "%s" (Options.error_message error);
     eprintf "%s\n%!" usage_advice
  | Guest_list.Wrong lines -> List.iter (Messages.error "%s") lines
  | Failure.Error { message; hint; _ } ->
     Messages.error "%s" message;
     Option.iter (Messages.hint "%s") hint
  | Unix.Unix_error (code, call, name) ->
     Messages.error "%s: %s" (if name = "" then call else name)
       (Unix.error_message code)
  | Sys_error reason -> Messages.error "%s" reason
  | e -> Messages.error (f_"unexpected error: %s") (Printexc.to_string e)

let main () =
  Package.set_program program;
  Process.open_standard_files ();
  Signals.catch ();
  (* Children are ended by what waits for them. *)
  Signals.spare_children true;
  (* A file that may not grow is an error as a full disk is. *)
  Sys.set_signal Sys.sigxfsz Sys.Signal_ignore;
  let status =
    try
      let status =
        match Fleet_options.parse Sys.argv with
        | Print text -> print_string text; 0
        | Go (messages, what) ->
           set_messages messages;
           match what with
           | Work c -> work c
           | Report r -> report r in
      flush stdout;
      status
    with
    | Signals.Interrupted _ -> 1
    | e -> explain e; Failure.status e in
  match Signals.received () with
  | Some signal ->
     Messages.error (f_"interrupted");
     Messages.hint (f_"The same command goes on where this one was ended.");
     Signals.die signal
  | None -> exit status

let () = main ()
