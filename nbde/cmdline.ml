(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The command line as one record.
 *)

open Printf

open Gettext
open Options

type t = {
  disks : Types.disk list;
  list : bool;
  check : bool;
  inspect : bool;
  output_keys : Keyfile.target option;
  appliance : Appliance.settings;
  quick_open : bool;
  tang_allow : string list;
  tang_timeout : float option;
  quiet : bool;
  colours : bool;
  wrap : bool;
  machine_readable : Messages.output option;
}

type request =
  | Print of string
  | Run of t

(* What the options make, from left to right. *)
type parsing = {
  command : t;                  (* disks and patterns in reverse *)
  format : string option;       (* of the disks that follow *)
  blocksize : int option;
  dangling : string option;     (* an option that no disk has followed *)
  keys_file : string option;
  keys_format : Keyfile.format option;
  force : bool;
}

let initial = {
  command = {
    disks = [];
    list = false;
    check = false;
    inspect = false;
    output_keys = None;
    appliance = {
      memsize = None;
      smp = None;
      network = true;
      verbose = false;
      trace = false;
    };
    quick_open = true;
    tang_allow = [];
    tang_timeout = None;
    quiet = false;
    colours = false;
    wrap = false;
    machine_readable = None;
  };
  format = None;
  blocksize = None;
  dangling = None;
  keys_file = None;
  keys_format = None;
  force = false;
}

(* --help and its like end the parsing where they stand. *)
exception Print_only of string

let command f p = { p with command = f p.command }

let appliance f =
  command (fun c -> { c with appliance = f c.appliance })

let add_disk text p =
  let source = Uri.parse text in
  let disk = { Types.source; format = p.format; blocksize = p.blocksize } in
  { (command (fun c -> { c with disks = disk :: c.disks }) p) with
    dangling = None }

let set_blocksize text p =
  let blocksize =
    match text with
    | None -> None
    | Some "512" -> Some 512
    | Some "4096" -> Some 4096
    | Some _ -> raise (Invalid (s_"neither 512 nor 4096")) in
  { p with blocksize; dangling = Some "--blocksize" }

let format_named name =
  match List.find_opt (fun f -> f.Keyfile.name = name) Keyfile.formats with
  | Some format -> format
  | None ->
     let names = List.map (fun f -> f.Keyfile.name) Keyfile.formats in
     raise (Invalid (sprintf (f_"the formats are: %s")
                       (String.concat ", " names)))

(* A day is longer than anybody waits. *)
let greatest_timeout = 86_400.

let seconds text =
  let plain =
    String.for_all (function '0'..'9' | '.' -> true | _ -> false) text in
  match if plain then float_of_string_opt text else None with
  | Some n when n > 0. && n <= greatest_timeout -> n
  | Some _ | None ->
     raise (Invalid (sprintf (f_"not a number of seconds above 0 and at \
                                 most %.0f") greatest_timeout))

let flag f = Flag (command f)

let opt names argument help = { names; argument; help }

let rec options () = [
  opt ["-a"; "--add"]
    (Value { metavar = "FILE|URI"; set = add_disk })
    (s_"Add a disk of the guest");
  opt ["--blocksize"]
    (Optional { metavar = "512|4096"; set = set_blocksize })
    (s_"Sector size of the disks that follow");
  opt ["--check"]
    (flag (fun c -> { c with check = true }))
    (s_"Recover and verify the keys; open nothing");
  opt ["--colors"; "--color"; "--colours"; "--colour"]
    (flag (fun c -> { c with colours = true }))
    (s_"Use ANSI colours even if it is not a terminal");
  opt ["--force"]
    (Flag (fun p -> { p with force = true }))
    (s_"Let --output-keys replace a file");
  opt ["--format"]
    (Optional {
       metavar = "raw|qcow2|...";
       set = (fun format p -> { p with format; dangling = Some "--format" });
     })
    (s_"Format of the disks that follow");
  opt ["--help"]
    (Flag (fun _ -> raise (Print_only (help_text ()))))
    (s_"Display brief help");
  opt ["-i"; "--inspect"]
    (flag (fun c -> { c with inspect = true }))
    (s_"Unlock the guest and say what is inside");
  opt ["--list"]
    (flag (fun c -> { c with list = true }))
    (s_"List LUKS devices and their bindings; ask no server");
  opt ["--long-options"]
    (Flag (fun _ -> raise (Print_only (listed (long_options (options ()))))))
    (s_"List the long options");
  opt ["--machine-readable"]
    (Optional { metavar = "FORMAT"; set = set_machine_readable })
    (s_"Print messages as JSON; without disk, print the features");
  opt ["--memsize"]
    (Value {
       metavar = "MIB";
       set = (fun text ->
         let memsize = integer ~least:256 ~greatest:1_048_576 text in
         appliance (fun a -> { a with memsize = Some memsize }));
     })
    (s_"Memory of the appliance");
  opt ["--network"]
    (Flag (appliance (fun a -> { a with network = true })))
    (s_"Give the appliance a network (default)");
  opt ["--no-network"]
    (Flag (appliance (fun a -> { a with network = false })))
    (s_"Give the appliance no network");
  opt ["--no-quick-open"]
    (flag (fun c -> { c with quick_open = false }))
    (s_"Open devices with their own headers, at their own cost");
  opt ["--output-keys"]
    (Value {
       metavar = "FILE";
       set = (fun file p -> { p with keys_file = Some file });
     })
    (s_"Unlock the guest and write its keys");
  opt ["--output-keys-format"]
    (Value {
       metavar = String.concat "|"
                   (List.map (fun f -> f.Keyfile.name) Keyfile.formats);
       set = (fun name p -> { p with keys_format = Some (format_named name) });
     })
    (s_"How --output-keys writes them");
  opt ["-q"; "--quiet"]
    (flag (fun c -> { c with quiet = true }))
    (s_"Print no progress messages");
  opt ["--short-options"]
    (Flag (fun _ -> raise (Print_only (listed (short_options (options ()))))))
    (s_"List the short options");
  opt ["--smp"]
    (Value {
       metavar = "N";
       set = (fun text ->
         let smp = integer ~least:1 ~greatest:255 text in
         appliance (fun a -> { a with smp = Some smp }));
     })
    (s_"Number of virtual processors of the appliance");
  opt ["--tang-allow"]
    (Value {
       metavar = "PATTERN";
       set = (fun pattern ->
         command (fun c -> { c with tang_allow = pattern :: c.tang_allow }));
     })
    (s_"Ask only servers that match a pattern");
  opt ["--tang-timeout"]
    (Value {
       metavar = "SECONDS";
       set = (fun text ->
         let timeout = seconds text in
         command (fun c -> { c with tang_timeout = Some timeout }));
     })
    (s_"Longest time for one request to a server");
  opt ["-v"; "--verbose"]
    (Flag (appliance (fun a -> { a with verbose = true })))
    (s_"Print hints and debugging messages");
  opt ["-V"; "--version"]
    (Flag (fun _ ->
       raise (Print_only (sprintf "%s %s\n" Package.name Package.version))))
    (s_"Display version and exit");
  opt ["--wrap"]
    (flag (fun c -> { c with wrap = true }))
    (s_"Wrap messages even if it is not a terminal");
  opt ["-x"]
    (Flag (appliance (fun a -> { a with trace = true })))
    (s_"Trace libguestfs calls");
]

and set_machine_readable text =
  let output =
    Option.fold ~none:Messages.Stdout ~some:Messages.output_of_string text in
  command (fun c -> { c with machine_readable = Some output })

and listed names = String.concat "" (List.map (fun name -> name ^ "\n") names)

and help_text () =
  sprintf (f_"%s: open guests whose disks are bound to Tang servers\n\
\n \
 %s -a DISK ACTION... [options]\n\
\n\
The actions are --list, --check, --inspect and --output-keys; several may be\n\
given.  Below is a summary of the options; %s(1) tells more.\n\
\n\
Options:\n\
%s")
    Package.name Package.name Package.name (help (options ()))

(* One a line, the name of the program first; see guestfs(3). *)
let features =
  let format { Keyfile.name; _ } = "output-keys-format/" ^ name in
  [Package.name; "list"; "check"; "inspect"; "output-keys"]
  @ List.map format Keyfile.formats
  @ ["network"; "tang-allow"; "tang-timeout"]

let usage message = raise (Options.Error (Usage message))

let output_keys p =
  match p.keys_file with
  | Some "" -> usage (s_"option --output-keys needs the name of a file")
  | Some file ->
     let format =
       Option.value p.keys_format ~default:(List.hd Keyfile.formats) in
     Some { Keyfile.file; format; force = p.force }
  | None when p.keys_format <> None ->
     usage (s_"option --output-keys-format needs --output-keys")
  | None when p.force -> usage (s_"option --force needs --output-keys")
  | None -> None

(* Keys on standard output must be alone there. *)
let check_stdout c =
  let shared =
    c.list || c.check || c.inspect
    || c.machine_readable = Some Messages.Stdout in
  match c.output_keys with
  | Some { file = "-"; _ } when shared ->
     usage (s_"option '--output-keys -' cannot be combined with other output \
               on standard output")
  | Some _ | None -> ()

let check_command c =
  if c.disks = [] then usage (s_"no disk was given: use -a");
  if not (c.list || c.check || c.inspect || c.output_keys <> None) then
    usage (s_"no action was given: use one or more of --list, --check, \
              --inspect, --output-keys");
  check_stdout c

let finish p arguments =
  (match arguments, p.dangling with
   | argument :: _, _ ->
      usage (sprintf (f_"'%s' is not an option; disks are given with -a")
               argument)
   | [], Some option ->
      usage (sprintf (f_"option %s must stand before the -a that it is for")
               option)
   | [], None -> ());
  let c = p.command in
  let c = {
    c with
    disks = List.rev c.disks;
    tang_allow = List.rev c.tang_allow;
    output_keys = output_keys p;
  } in
  if c.machine_readable <> None && c.disks = [] then Print (listed features)
  else (
    check_command c;
    Run c
  )

let parse argv =
  match Options.parse (options ()) initial argv with
  | p, arguments -> finish p arguments
  | exception Print_only text -> Print text
