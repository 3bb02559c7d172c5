(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The command line of virt-nbde-fleet, and those that it makes.
 *)

open Testing

let parse words = Fleet_options.parse (Array.of_list ("fleet" :: words))

let work words =
  match parse words with
  | Go (_, Work run) -> run
  | Go (_, Report _) | Print _ -> failwith "no work"

let () =
  let c = work ["keys"; "l"; "--state=s"; "-P"; "3"; "--deadline=5";
                "--tang-allow"; "a"] in
  is_true "action" (c.action = Guest.Keys);
  is_true "list" (c.source = Guest_list.List "l");
  number "-P" 3 c.parallel;
  text "passed" "--deadline=5 --tang-allow=a" (String.concat " " c.passed);
  is_true "time" (c.timeout = Some 3600.);
  let c = work ["run"; "l"; "--state=s"; "--"; "x"; "-q"; "--"; "{name}"] in
  text "command" "x -q -- {name}" (String.concat " " c.command);
  is_true "no time" (c.timeout = None);
  let c = work ["list"; "--domains"; "-c"; "test:///"; "--state=s"] in
  is_true "domains" (c.source = Domains { uri = Some "test:///" });
  match parse ["report"; "--state=s"; "--format=html"; "-o"; "f"] with
  | Go (_, Report { state; format; output }) ->
     is_true "report" ((state, format, output) = ("s", Some "html", Some "f"))
  | Go (_, Work _) | Print _ -> is_true "report" false

let () =
  let refuses name message words =
    refuses name message (fun () -> parse words) in
  refuses "no action"
    "no action was given: one of list, preflight, keys, run, report" [];
  refuses "no such action"
    "'mount' is not an action; there are: list, preflight, keys, run, report"
    ["mount"];
  refuses "no state" "option --state is missing" ["list"; "l"];
  refuses "no list" "no guests were given: LIST, a folder or --domains"
    ["list"; "--state=s"];
  refuses "-c alone" "option -c needs --domains"
    ["list"; "l"; "--state=s"; "-c"; "x"];
  refuses "no command" "'run' needs a command after '--'"
    ["run"; "l"; "--state=s"];
  refuses "a command" "there is an argument too many: 'x'"
    ["keys"; "l"; "x"; "--state=s"];
  refuses "disks of domains"
    "{disks} cannot be combined with --domains: what the disks are is for \
     libvirt to say" ["run"; "--domains"; "--state=s"; "x"; "{disks}"];
  refuses "keys format" "option --keys-format does not go with 'list'"
    ["list"; "l"; "--state=s"; "--keys-format=dir"];
  refuses "a key"
    "option --key: 'all:key:x': a fleet takes keys from files only: \
     ID:file:FILE" ["list"; "l"; "--state=s"; "--key=all:key:x"];
  refuses "not passed" "there is no option --mount"
    ["list"; "l"; "--state=s"; "--mount=x"]

let settings = {
  Command.program = "/p"; servers = "/s"; passed = ["--deadline=5"];
  uri = None; keys_folder = "/k"; own_keys = true;
  keys_format = "dir";
  command = ["c"; "{name}"; "{disks}"; "{keys}"; "x={name}"];
}

let guest = {
  Guest.name = "web"; domain = None; options = ["--no-probe"];
  disks = [{ path = "/1"; format = Some "raw" }; { path = "/2"; format = None }];
}

let () =
  let words ?(replace = true) action =
    String.concat " " (Command.words settings action ~replace guest) in
  text "list"
    "virt-nbde-unlock -q --output-format=json --tang-share=/s --deadline=5 \
     --format=raw -a /1 --format -a /2 --list" (words Guest.List);
  text "preflight"
    "virt-nbde-unlock -q --output-format=json --tang-share=/s --deadline=5 \
     --no-probe --format=raw -a /1 --format -a /2 --preflight"
    (words Guest.Preflight);
  text "keys"
    "virt-nbde-unlock -q --output-format=json --tang-share=/s --deadline=5 \
     --format=raw -a /1 --format -a /2 --output-keys=/k/web \
     --output-keys-format=dir --force" (words Guest.Keys);
  is_true "other files stay"
    (not (List.mem "--force"
            (Command.words settings Guest.Keys ~replace:false guest)));
  text "run"
    "virt-nbde-unlock -q --output-format=json --tang-share=/s --deadline=5 \
     --format=raw -a /1 --format -a /2 --run -- c web /1 /2 {keys} x=web"
    (words Guest.Run);
  refuses "disks within a word"
    "'--x={disks}' has {disks} within a word, and the guest web has more than \
     one disk" (fun () -> Command.check [| guest |] ["--x={disks}"])

let () =
  let status verdicts = Verdict.together verdicts in
  number "all" 0 (status [Done; Done]);
  number "some without a binding" 0 (status [Done; Unbound]);
  number "none with a binding" 3 (status [Unbound; Unbound]);
  number "later" 4 (status [Done; Unreachable; Unbound]);
  number "failed" 2 (status [Unreachable; Failed]);
  number "an error" 1 (status [Failed; Command_failed; Unreachable])

let () = finish ()
