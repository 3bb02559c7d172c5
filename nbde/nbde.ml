(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The program: the steps in order.  Only here errors are printed and only
 * here the program ends.
 *)

open Printf

open Gettext

let policy { Cmdline.tang_allow; tang_timeout; _ } =
  let policy = Clevis.Policy.create () in
  List.iter (Clevis.Policy.allow policy) tang_allow;
  Option.iter (Clevis.Policy.set_timeout policy) tang_timeout;
  policy

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
    Unlock.Open { quick = c.quick_open }
  else if c.check then Unlock.Recover
  else Unlock.Look

let print_error (message, hint) =
  Messages.error "%s" message;
  Option.iter (Messages.hint "%s") hint

(* What was asked for, separated by empty lines. *)
let print_outputs (c : Cmdline.t) g findings =
  let outputs = List.concat [
    if c.list then [Listing.lines findings] else [];
    if c.check then [Report.check_lines findings] else [];
    if c.inspect then [Inspect.lines (Inspect.gather g) findings] else [];
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
  let policy = policy c in
  Option.iter Keyfile.check_target c.output_keys;
  Appliance.check_disks c.disks;
  Appliance.with_launched c.appliance c.disks (fun g ->
    let findings = Unlock.run g policy (depth c) in
    let finally () = Unlock.release_keys findings in
    Fun.protect ~finally (fun () ->
      print_outputs c g findings;
      List.iter print_error (Report.failures findings);
      List.iter (Messages.info "%s") (Report.unbound findings);
      let status = Report.exit_status findings in
      match c.output_keys with
      | Some target -> write_keys target findings status
      | None -> status))

let usage_advice =
  sprintf (f_"Try '%s --help' or consult %s(1) for more information.")
    Package.name Package.name

(* One line for whatever went wrong. *)
let explain = function
  | Options.Error error ->
     Messages.error "%s" (Options.error_message error);
     eprintf "%s\n%!" usage_advice
  | Uri.Error message | Keyfile.Error message | Sys_error message ->
     Messages.error "%s" message
  | Appliance.Error { message; hint } -> print_error (message, hint)
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
