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

(* It is being made while files of the user are looked at. *)
let check_vault () =
  let { Clevis.memory; system_calls; files } = Clevis.wall () in
  if not memory then
    Messages.warning
      (f_"memory cannot be locked (see ulimit -l), so keys may reach the swap \
          space");
  if not system_calls then
    Messages.warning
      (f_"this kernel has no seccomp filters, so a disk that takes the reader \
          of its header over could reach more than itself");
  if not files then
    Messages.warning
      (f_"this kernel has no Landlock, so a disk that takes the reader of its \
          header over could open files")

let check_locked_memory () =
  if (Clevis.memory ()).was_short then
    Messages.warning
      (f_"too little memory can be locked (see ulimit -l), so keys may have \
          reached the swap space")

let depth (c : Cmdline.t) =
  if c.inspect || c.mount <> None || c.output_keys <> None || c.run <> None
  then
    (* The quick header is for an overlay. *)
    Plan.Open { quick = c.quick_open && not c.appliance.writable;
                  all = c.inspect || c.mount <> None }
  else if c.check then Plan.Recover
  else Plan.Look

let plan (c : Cmdline.t) policy =
  let { Guest_options.selectors; headers; place; _ } = c.guest in
  List.iter (fun (_, file) -> Drives.check_file file) headers;
  { Plan.depth = depth c; policy; place;
    deadline = Deadline.make policy ~seconds:(Servers.deadline c.servers);
    headers = Headers.make ~detached:headers;
    given_keys = Given_keys.load selectors (Guest_options.ask c.guest);
    may_restart = c.appliance.memsize = None }

let print_error (message, hint) =
  Messages.error "%s" message;
  Option.iter (Messages.hint "%s") hint

(* What is known of the disk is reported whatever goes wrong afterwards: the
 * error is part of it.  The other steps are done as far as they can be.
 *)
let attempt (found : Json_document.t) ~otherwise step =
  try step found
  with e when Signals.received () = None ->
    let error = Error_text.of_exn e in
    print_error error;
    otherwise, { found with errors = found.errors @ [error];
                            status = if found.status = 0 then 1
                                     else found.status }

let export policy (found : Json_document.t) ~replace files =
  let { Servers.carried; state } = files in
  let { Export.lines; errors; status } = Export.collect policy found.findings in
  List.iter print_error errors;
  attempt { found with errors; status } ~otherwise:[] (fun found ->
    let n = Clevis.Policy.nr_requests policy in
    if n > 0 then
      Export.write policy ~replace ~requests:carried ~state;
    lines, { found with requests = Some n })

(* What the actions that ask servers and unlock nothing have found. *)
let ask (c : Cmdline.t) policy (found : Json_document.t) =
  match c.servers.way with
  | Collect { files; replace } -> export policy found ~replace files
  | Online | Replies _ when c.preflight ->
     let preflight = Preflight.run ~probe:c.probe policy found.findings in
     Preflight_text.lines preflight,
     { found with preflight = Some preflight;
                  status = Preflight.exit_status preflight }
  | Online | Replies _ -> [], found

let wanted (c : Cmdline.t) =
  { Inspect.details = c.output_format <> Text;
    applications = c.applications; icon = c.icon }

(* What was asked for, separated by empty lines. *)
let print_texts (c : Cmdline.t) (found : Json_document.t) asked =
  let { Json_document.findings; inspection; _ } = found in
  let outputs = List.concat [
    if c.list then [Listing.lines findings] else [];
    [asked];
    if c.check then [Report.check_lines findings] else [];
    match inspection with
    | Some inspection -> [Inspect_text.lines inspection findings]
    | None -> [];
  ] in
  List.iter print_endline
    (Lines.blocks (List.filter (fun lines -> lines <> []) outputs))

(* Among messages in JSON it is one line, as they are. *)
let print_document (c : Cmdline.t) document =
  let indent = c.machine_readable <> Some Messages.Stdout in
  print_endline (Json.to_string ~indent (Json_document.json document))

let print_failures findings =
  let errors =
    Report.failures findings
    @ List.map (fun line -> line, None) (Report.common_reasons findings) in
  List.iter print_error errors;
  List.iter (Messages.info "%s") (Report.unbound findings);
  errors

let inspect (c : Cmdline.t) { View.g; _ } (found : Json_document.t) =
  let gather g =
    Inspect.gather g found.findings (wanted c)
      ~partial:(Report.exit_status found.findings <> 0) in
  (), { found with inspection = if c.inspect then Option.map gather g
                                else None }

let write_keys (c : Cmdline.t) (found : Json_document.t) =
  Option.iter (fun target ->
    Timing.step Output (fun () ->
      Keyfile.write target (Key_format.entries found.findings))) c.output_keys;
  (), found

let forget (c : Cmdline.t) (found : Json_document.t) =
  if found.status = 0 then Servers.forget c.servers;
  (), found

let prepare (c : Cmdline.t) (found : Json_document.t) =
  match c.run with
  | Some command when found.status = 0 ->
     Some (Handover.prepare command found.findings), found
  | Some _ | None -> None, found

(* Mount in the appliance; did that succeed? *)
let mount session g found =
  attempt found ~otherwise:false (fun found ->
    Timing.step Mount (fun () -> Mount.mount session g found.findings);
    true, found)

(* All that asks, opens and prints. *)
let work (c : Cmdline.t) (plan : Plan.t) (view : View.t) =
  Fun.protect ~finally:(fun () -> Plan.release plan) (fun () ->
    let findings = view.find () in
    check_locked_memory ();
    let found =
      { Json_document.actions = Cmdline.actions c; findings; preflight = None;
        inspection = None; requests = None; errors = [];
        appliance = view.reason; status = Report.exit_status findings } in
    let asked, found = attempt found ~otherwise:[] (ask c plan.policy) in
    let (), found = attempt found ~otherwise:() (inspect c view) in
    if c.output_format = Text then print_texts c found asked;
    let errors = print_failures findings in
    let found = { found with errors = found.errors @ errors } in
    let (), found = attempt found ~otherwise:() (write_keys c) in
    let (), found = attempt found ~otherwise:() (forget c) in
    let handover, found = attempt found ~otherwise:None (prepare c) in
    found, handover)

let report (c : Cmdline.t) (found : Json_document.t) =
  (match c.output_format with
   | Text -> ()
   | Json -> print_document c found
   | Xml ->
      Option.iter (fun inspection ->
        print_string (Inspect_xml.document inspection)) found.inspection);
  Messages.debug "%.3f s: %s" (Timing.total ()) (Timing.text ());
  found.status

(* Of the user and of servers; those of devices are released by then. *)
let release ({ given_keys; policy; _ } : Plan.t) =
  Given_keys.release given_keys;
  Clevis.Policy.release policy

(* The keys are wiped before the guest can be looked into. *)
let serve (c : Cmdline.t) session plan (view : View.t) =
  let found, _ = work c plan view in
  release plan;
  No_keys.from_now_on ();
  let g = Option.get view.g in
  let mounted, found = mount session g found in
  let status = report c found in
  flush stdout;
  if mounted then Mount.serve session g ~status;
  status

(* The appliance is closed by then: the command may need its memory, or start
 * one of its own.
 *)
let hand_over (c : Cmdline.t) (found, handover) =
  let status = report c found in
  No_keys.from_now_on ();
  Option.fold ~none:status ~some:Handover.run handover

let view_settings (c : Cmdline.t) =
  { View.looks = c.looks; needed = Cmdline.needs_appliance c;
    appliance = c.appliance }

(* Look, open, and do what is to be done with that. *)
let unlock (c : Cmdline.t) janitor ~lasting f =
  Clevis.init ();
  let policy = Servers.policy c.servers in
  let finally () = Clevis.Policy.release policy in
  Fun.protect ~finally (fun () ->
    Option.iter Keyfile.check_target c.output_keys;
    Option.iter Handover.check_found c.run;
    let guest = Guest_options.guest c.guest c.disks in
    let { Appliance.writable; _ } = c.appliance in
    Drives.check ~writable guest;
    let plan = plan c policy in
    Plan.check_place plan;
    check_vault ();
    let finally () =
      Plan.release plan;
      release plan in
    Fun.protect ~finally (fun () ->
      View.with_view (view_settings c) janitor ~lasting
        (Drives.find ~writable guest) plan (f plan)))

(* The janitor is there before the first key, and has none. *)
let run (c : Cmdline.t) =
  set_messages c;
  match Option.map Mount.start c.mount with
  | Some (Front status) -> status
  | Some (Session session) ->
     Fun.protect ~finally:(fun () -> Mount.finish session) (fun () ->
       unlock c (Mount.janitor session) ~lasting:true (serve c session))
  | None ->
     let janitor = Janitor.start () in
     let finally () = Janitor.finish janitor in
     hand_over c
       (Fun.protect ~finally (fun () ->
          unlock c janitor ~lasting:false (work c)))

let usage_advice =
  sprintf (f_"Try '%s --help' or consult %s(1) for more information.")
    Package.name Package.name

let explain = function
  | Options.Error error ->
     Messages.error "%s" (Options.error_message error);
     eprintf "%s\n%!" usage_advice
  | e -> print_error (Error_text.of_exn e)

(* A run is short: what it has in its young heap, by default 2 MiB of it, is not
 * worth to be kept apart for so long.
 *)
let young_words = 32_768

let main () =
  Gc.set { (Gc.get ()) with minor_heap_size = young_words };
  Process.open_standard_files ();
  Signals.catch ();
  let status =
    try
      let status =
        match Cmdline.parse Sys.argv with
        | Print text -> print_string text; 0
        | Run c -> run c in
      flush stdout;
      No_keys.from_now_on ();
      status
    with
    | Signals.Interrupted signal -> Signals.note signal; 1
    | e ->
       if Signals.received () = None then explain e;
       Failure.status e in
  match Signals.received () with
  | Some signal when Background.is_back () -> exit (128 + signal)
  | Some signal ->
     Messages.error (f_"interrupted");
     Signals.die signal
  | None -> exit status

let () = main ()
