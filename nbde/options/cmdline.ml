(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The command line as one record.
 *)

open Printf

open Gettext
open Options

type output_format =
  | Text
  | Json
  | Xml

type looks =
  | Auto
  | Always
  | Never

type t = {
  disks : Types.disk list;
  guest : Guest_options.t;
  list : bool;
  check : bool;
  preflight : bool;
  probe : bool;
  inspect : bool;
  applications : bool;
  icon : bool;
  mount : Mount.settings option;
  output_format : output_format;
  output_keys : Keyfile.target option;
  run : string list option;
  appliance : Appliance.settings;
  looks : looks;
  quick_open : bool;
  servers : Servers.settings;
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
  keys_format : Key_format.t option;
  force : bool;
  servers : Server_options.t;
  guest : Guest_options.t;
  mount : Mount_options.t;
}

let initial = {
  command = {
    disks = [];
    guest = Guest_options.initial;
    list = false;
    check = false;
    preflight = false;
    probe = true;
    inspect = false;
    applications = false;
    icon = false;
    mount = None;
    output_format = Text;
    output_keys = None;
    run = None;
    appliance = {
      memsize = None;
      foreseen = Appliance.unforeseen;
      smp = None;
      network = true;
      writable = false;
      verbose = false;
      trace = false;
    };
    looks = Auto;
    quick_open = true;
    servers = Servers.default;
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
  servers = Server_options.initial;
  guest = Guest_options.initial;
  mount = Mount_options.initial;
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
  match List.find_opt (fun f -> f.Key_format.name = name) Key_format.all with
  | Some format -> format
  | None ->
     let names = List.map (fun f -> f.Key_format.name) Key_format.all in
     raise (Invalid (sprintf (f_"the formats are: %s")
                       (String.concat ", " names)))

let output_formats = ["text", Text; "json", Json; "xml", Xml]

let output_format_named name =
  match List.assoc_opt name output_formats with
  | Some format -> format
  | None ->
     raise (Invalid (sprintf (f_"the formats are: %s")
                       (String.concat ", " (List.map fst output_formats))))

let all_looks = ["auto", Auto; "always", Always; "never", Never]

let looks_named name =
  match List.assoc_opt name all_looks with
  | Some looks -> looks
  | None -> raise (Invalid (s_"none of auto, always, never"))

let flag f = Flag (command f)

let servers f (p : parsing) = { p with servers = f p.servers }

let guest f (p : parsing) = { p with guest = f p.guest }

let mount f (p : parsing) = { p with mount = f p.mount }

(* Options are listed by their names, without dashes. *)
let by_name a b =
  let letters option =
    let name = List.hd (List.rev option.names) in
    String.concat "" (String.split_on_char '-' name) in
  compare (String.lowercase_ascii (letters a))
    (String.lowercase_ascii (letters b))

let rec options () =
  List.stable_sort by_name
    (own_options ()
     @ of_part guest Guest_options.options
     @ of_part mount Mount_options.options
     @ of_part servers Server_options.options)

and own_options () = [
  opt ["-a"; "--add"]
    (value "FILE|URI" add_disk)
    (s_"Add a disk of the guest");
  opt ["--appliance"]
    (value (String.concat "|" (List.map fst all_looks)) (fun name ->
       let looks = looks_named name in
       command (fun c -> { c with looks })))
    (s_"When to launch the appliance");
  opt ["--applications"]
    (flag (fun c -> { c with applications = true }))
    (s_"Let --inspect list what is installed");
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
    (s_"Let --output-keys and --export-requests replace files");
  opt ["--format"]
    (Optional {
       metavar = "raw|qcow2|...";
       set = (fun format p -> { p with format; dangling = Some "--format" });
     })
    (s_"Format of the disks that follow");
  opt ["--help"]
    (Flag (fun _ -> raise (Print_only (help_text ()))))
    (s_"Display brief help");
  opt ["--icon"]
    (flag (fun c -> { c with icon = true }))
    (s_"Let --inspect read the icon of the system");
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
    (value "MIB" (fun text ->
       let memsize = integer ~least:256 ~greatest:1_048_576 text in
       appliance (fun a -> { a with memsize = Some memsize })))
    (s_"Memory of the appliance");
  opt ["--network"]
    (Flag (appliance (fun a -> { a with network = true })))
    (s_"Give the appliance a network (default)");
  opt ["--no-network"]
    (Flag (appliance (fun a -> { a with network = false })))
    (s_"Give the appliance no network");
  opt ["--no-probe"]
    (flag (fun c -> { c with probe = false }))
    (s_"Let --preflight post nothing to servers");
  opt ["--no-quick-open"]
    (flag (fun c -> { c with quick_open = false }))
    (s_"Open devices with their own headers, at their own cost");
  opt ["--output-format"]
    (value (String.concat "|" (List.map fst output_formats)) (fun name ->
       let output_format = output_format_named name in
       command (fun c -> { c with output_format })))
    (s_"How to print what was found");
  opt ["--output-keys"]
    (value "FILE" (fun file p -> { p with keys_file = Some file }))
    (s_"Unlock the guest and write its keys");
  opt ["--output-keys-format"]
    (value
       (String.concat "|"
          (List.map (fun f -> f.Key_format.name) Key_format.all))
       (fun name p -> { p with keys_format = Some (format_named name) }))
    (s_"How --output-keys writes them");
  opt ["--preflight"]
    (flag (fun c -> { c with preflight = true }))
    (s_"Find out which servers would answer; unlock nothing");
  opt ["-q"; "--quiet"]
    (flag (fun c -> { c with quiet = true }))
    (s_"Print no progress messages");
  opt ["--run"]
    (flag (fun c -> { c with run = Some [] }))
    (s_"Run the command after '--' with the keys");
  opt ["--short-options"]
    (Flag (fun _ -> raise (Print_only (listed (short_options (options ()))))))
    (s_"List the short options");
  opt ["--smp"]
    (value "N" (fun text ->
       let smp = integer ~least:1 ~greatest:255 text in
       appliance (fun a -> { a with smp = Some smp })))
    (s_"Number of virtual processors of the appliance");
  opt ["-v"; "--verbose"]
    (Flag (appliance (fun a -> { a with verbose = true })))
    (s_"Print debugging messages");
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
 %s -a DISK|-d DOMAIN ACTION... [options]\n\
\n\
The actions are --list, --preflight, --check, --inspect, --mount,\n\
--output-keys, --run and --export-requests; several may be given.  Below is\n\
a summary of the options; %s(1) tells more.\n\
\n\
Options:\n\
%s")
    Package.name Package.name Package.name (help (options ()))

(* One a line, the name of the program first; see guestfs(3). *)
let features =
  let format { Key_format.name; _ } = "output-keys-format/" ^ name in
  [Package.name; "list"; "preflight"; "check"; "inspect"; "applications";
   "icon"; "mount"; "rw";
   "output-keys"; "run";
   "export-requests"; "import-replies"; "domain"; "key"; "keys-from-stdin";
   "header"; "appliance"]
  @ (if Clevis.In_appliance.is_known () then ["exchange-appliance"] else [])
  @ List.map format Key_format.all
  @ List.map (fun (name, _) -> "output-format/" ^ name) output_formats
  @ ["network"; "tang-allow"; "tang-keydir"; "tang-map"; "tang-proxy";
     "tang-share"; "tang-timeout"]

let exports (c : t) =
  match c.servers.way with
  | Servers.Collect _ -> true
  | Servers.Online | Servers.Replies _ -> false

let imports (c : t) =
  match c.servers.way with
  | Servers.Replies _ -> true
  | Servers.Online | Servers.Collect _ -> false

let actions (c : t) =
  List.filter_map (fun (name, wanted) -> if wanted then Some name else None) [
    "list", c.list;
    "preflight", c.preflight;
    "check", c.check;
    "inspect", c.inspect;
    "mount", c.mount <> None;
    "output-keys", c.output_keys <> None;
    "run", c.run <> None;
    "export-requests", exports c;
  ]

let output_keys p c =
  match p.keys_file with
  | Some "" -> usage (f_"option --output-keys needs the name of a file")
  | Some file ->
     let format =
       Option.value p.keys_format ~default:(List.hd Key_format.all) in
     Some { Keyfile.file; format; force = p.force }
  | None when p.keys_format <> None ->
     usage (f_"option --output-keys-format needs --output-keys")
  | None when p.force && not (exports c) ->
     usage (f_"option --force needs --output-keys or --export-requests")
  | None -> None

(* Keys on standard output must be alone there. *)
let check_stdout c =
  let shared =
    c.list || c.preflight || c.check || c.inspect || c.output_format <> Text
    || c.machine_readable = Some Messages.Stdout in
  match c.output_keys with
  | Some { file = "-"; _ } when shared ->
     usage (f_"option '--output-keys -' cannot be combined with other output \
               on standard output")
  | Some _ | None -> ()

(* XML is about the inspection, and has no place for anything else. *)
let check_inspection c =
  if not c.inspect then (
    if c.applications then usage (f_"option --applications needs --inspect");
    if c.icon then usage (f_"option --icon needs --inspect");
    if c.output_format = Xml then
      usage (f_"option --output-format=xml needs --inspect")
  );
  if c.output_format = Xml
     && (c.list || c.check
         || c.machine_readable = Some Messages.Stdout) then
    usage (f_"option --output-format=xml cannot be combined with other output \
              on standard output")

(* What gets keys. *)
let unlocks (c : t) =
  c.check || c.inspect || c.mount <> None || c.output_keys <> None
  || c.run <> None

(* Each run asks the servers in one way. *)
let check_asking c =
  let alone option =
    usage (f_"option %s can only be combined with the action --list") option in
  if c.preflight && (unlocks c || exports c || imports c) then
    alone "--preflight";
  if exports c && unlocks c then alone "--export-requests";
  if imports c && not (unlocks c) then
    usage (f_"option --import-replies needs --check, --inspect, --mount, \
              --output-keys or --run");
  if not (c.probe || c.preflight) then
    usage (f_"option --no-probe needs --preflight")

(* Clevis in the appliance gives no keys, and knows nothing of our policy. *)
let check_in_appliance (c : t) =
  let cannot option =
    usage (f_"option --exchange=appliance cannot be combined with %s") option in
  if c.guest.place = Plan.In_appliance then (
    if c.check then cannot "--check";
    if c.preflight then cannot "--preflight";
    if c.output_keys <> None then cannot "--output-keys";
    if c.run <> None then cannot "--run";
    if c.servers <> Servers.default then cannot (s_"options about servers");
    if not c.appliance.network then cannot "--no-network"
  )

(* Some work is done in the appliance and nowhere else. *)
let needs_appliance (c : t) =
  let reasons =
    [c.inspect, "--inspect"; c.mount <> None, "--mount";
     c.guest.place = Plan.In_appliance, "--exchange=appliance";
     c.looks = Always, "--appliance=always"] in
  Option.map snd (List.find_opt fst reasons)

let check_looks c =
  match needs_appliance c with
  | Some option when c.looks = Never ->
     usage (f_"option --appliance=never cannot be combined with %s") option
  | Some _ | None -> ()

let check_run (c : t) =
  Option.iter Handover.check c.run;
  if c.run <> None && c.mount <> None then
    usage (f_"option --run cannot be combined with --mount")

let check_command (c : t) =
  Guest_options.check c.guest ~disks:c.disks;
  if not (c.list || c.preflight || exports c || unlocks c || imports c) then
    usage (f_"no action was given: use one or more of --list, --preflight, \
              --check, --inspect, --mount, --output-keys, --run, \
              --export-requests");
  check_asking c;
  check_in_appliance c;
  check_looks c;
  check_inspection c;
  check_run c;
  check_stdout c

let finish p arguments =
  (match arguments, p.dangling with
   | argument :: _, _ when p.command.run = None ->
      usage (f_"'%s' is not an option; disks are given with -a") argument
   | _, Some option ->
      usage (f_"option %s must stand before the -a that it is for") option
   | _, None -> ());
  let c = p.command in
  let c = {
    c with
    disks = List.rev c.disks;
    run = Option.map (fun _ -> arguments) c.run;
    guest = Guest_options.settings p.guest;
    servers = Server_options.settings ~force:p.force p.servers;
  } in
  let mount = Mount_options.settings p.mount in
  let writable =
    Option.fold ~none:false ~some:(fun m -> m.Mount.writable) mount in
  let c = {
    c with
    mount;
    appliance = { c.appliance with writable };
    output_keys = output_keys p c;
  } in
  if c.machine_readable <> None && c.disks = []
     && not (Guest_options.names_domain c.guest) then Print (listed features)
  else (
    check_command c;
    Run c
  )

let parse argv =
  match Options.parse (options ()) initial argv with
  | p, arguments -> finish p arguments
  | exception Print_only text -> Print text
