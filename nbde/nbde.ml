(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The program: the steps in order.  Only here errors are printed and only
 * here the program ends.
 *)

open Printf

open Gettext

let set_messages (c : Cmdline.t) =
  Messages.set {
    quiet = c.quiet;
    verbose = c.appliance.verbose;
    colours = c.colours;
    wrap = c.wrap;
    machine_readable = Option.map Messages.open_output c.machine_readable;
  }

let lock_memory () =
  if not (Clevis.init ()) then
    Messages.warning
      (f_"memory cannot be locked (see ulimit -l), so keys may reach the swap \
          space")

let depth (c : Cmdline.t) =
  if c.inspect || c.output_keys <> None then
    Unlock.Open { quick = c.quick_open; all = c.inspect }
  else if c.check then Unlock.Recover
  else Unlock.Look

let plan (c : Cmdline.t) policy =
  let { Guest_options.selectors; headers; exchange; _ } = c.guest in
  List.iter (fun (_, file) -> Appliance.check_file file) headers;
  { Unlock.depth = depth c; policy; exchange; headers;
    keys = Keys.load selectors (Guest_options.ask c.guest) }

let print_error (message, hint) =
  Messages.error "%s" message;
  Option.iter (Messages.hint "%s") hint

let export policy findings ~replace { Servers.exchanged; state } =
  let { Export.lines; errors; status } = Export.collect policy findings in
  List.iter print_error errors;
  if Clevis.Policy.nr_requests policy > 0 then
    Clevis.Policy.write_requests policy ~requests:exchanged ~state ~replace;
  lines, status

(* What the actions that ask and unlock nothing have to say, and the exit
 * status.
 *)
let ask (c : Cmdline.t) policy findings =
  match c.servers.exchange with
  | Collect { files; replace } -> export policy findings ~replace files
  | Online | Replies _ when c.preflight ->
     let found = Preflight.run ~probe:c.probe policy findings in
     Preflight.lines found, Preflight.exit_status found
  | Online | Replies _ -> [], Report.exit_status findings

let inspect g findings =
  let partial = Report.exit_status findings <> 0 in
  Inspect.lines (Inspect.gather g ~partial) findings

(* What was asked for, separated by empty lines. *)
let print_outputs (c : Cmdline.t) g findings asked =
  let outputs = List.concat [
    if c.list then [Listing.lines findings] else [];
    [asked];
    if c.check then [Report.check_lines findings] else [];
    if c.inspect then [inspect g findings] else [];
  ] in
  let print i lines =
    if i > 0 then print_newline ();
    List.iter print_endline lines in
  List.iteri print (List.filter (fun lines -> lines <> []) outputs)

(* Why a device has no key was said before, and decides the exit status. *)
let write_keys target findings status =
  match Keyfile.write target (Keyfile.entries findings) with
  | () -> status
  | exception Keyfile.Error message when status <> 0 ->
     Messages.error "%s" message;
     status

let run (c : Cmdline.t) =
  set_messages c;
  lock_memory ();
  let policy = Servers.policy c.servers in
  Option.iter Keyfile.check_target c.output_keys;
  let guest = Guest_options.guest c.guest c.disks in
  Appliance.check_guest guest;
  let plan = plan c policy in
  Unlock.check_plan plan;
  Appliance.with_launched c.appliance guest (fun g ->
    let findings = Unlock.run g plan in
    let finally () =
      Unlock.release_keys findings;
      Keys.release plan.keys in
    Fun.protect ~finally (fun () ->
      let asked, status = ask c policy findings in
      print_outputs c g findings asked;
      List.iter print_error (Report.failures findings);
      List.iter (Messages.error "%s") (Report.common_reasons findings);
      List.iter (Messages.info "%s") (Report.unbound findings);
      let status =
        match c.output_keys with
        | Some target -> write_keys target findings status
        | None -> status in
      if status = 0 then Servers.forget c.servers;
      status))

let usage_advice =
  sprintf (f_"Try '%s --help' or consult %s(1) for more information.")
    Package.name Package.name

(* One line for whatever went wrong. *)
let explain = function
  | Options.Error error ->
     Messages.error "%s" (Options.error_message error);
     eprintf "%s\n%!" usage_advice
  | Uri.Error message | Keyfile.Error message | Keys.Error message
  | Sys_error message ->
     Messages.error "%s" message
  | Appliance.Error { message; hint } | Servers.Error { message; hint } ->
     print_error (message, hint)
  | Clevis.Error { line; hint; _ } -> print_error (line, hint)
  | Guestfs.Error message ->
     Messages.error (f_"libguestfs: %s") (Appliance.first_line message)
  | Unix.Unix_error (code, call, argument) ->
     Messages.error "%s %s: %s" call argument (Unix.error_message code)
  | Out_of_memory -> Messages.error (f_"out of memory")
  | e -> Messages.error (f_"internal error: %s") (Printexc.to_string e)

let main () =
  Signals.catch ();
  let status =
    try
      let status =
        match Cmdline.parse Sys.argv with
        | Print text -> print_string text; 0
        | Run c -> run c in
      flush stdout;
      status
    with e ->
      if Signals.received () = None then explain e;
      1 in
  match Signals.received () with
  | Some signal ->
     Messages.error (f_"interrupted");
     Signals.die signal
  | None -> exit status

let () = main ()
