(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Whole command lines: what they mean, and which are refused.
 *)

open Types

let parse words = Cmdline.parse (Array.of_list ("virt-nbde-unlock" :: words))

let run name words check =
  match parse words with
  | Run c -> Testing.is_true name (check c)
  | Print _ -> Testing.is_true (name ^ " runs") false

let prints name words expected =
  match parse words with
  | Print text ->
     Testing.is_true name (String.starts_with ~prefix:expected text)
  | Run _ -> Testing.is_true (name ^ " prints") false

let refused name words expected =
  Testing.raises name (function
    | Options.Error error ->
       Testing.text name expected (Options.error_message error);
       true
    | _ -> false) (fun () -> parse words)

let test_accepted () =
  run "defaults" ["-a"; "x"; "--list"] (fun c ->
    c.list && not c.check && not c.inspect && c.output_keys = None
    && c.appliance.network && c.appliance.memsize = None && c.tang_allow = []);
  run "format is for what follows"
    ["-a"; "a"; "--format=raw"; "-a"; "b"; "--format"; "--blocksize=4096";
     "-a"; "c"; "-i"] (fun c ->
    c.disks = [
      { source = File "a"; format = None; blocksize = None };
      { source = File "b"; format = Some "raw"; blocksize = None };
      { source = File "c"; format = None; blocksize = Some 4096 };
    ]);
  run "appliance" ["-a"; "a"; "--check"; "--memsize=512"; "--smp"; "2";
                   "--no-network"; "-vx"] (fun c ->
    c.appliance = { memsize = Some 512; smp = Some 2; network = false;
                    verbose = true; trace = true });
  run "the last network option counts"
    ["-a"; "a"; "--check"; "--no-network"; "--network"]
    (fun c -> c.appliance.network);
  run "servers" ["-a"; "a"; "--check"; "--tang-allow=a"; "--tang-allow=b";
                 "--tang-timeout"; "2.5"] (fun c ->
    c.tang_allow = ["a"; "b"] && c.tang_timeout = Some 2.5);
  run "keys" ["-a"; "a"; "--output-keys"; "k"; "--force"] (fun c ->
    match c.output_keys with
    | Some { file = "k"; force = true; format = { name = "lines"; _ } } -> true
    | Some _ | None -> false)

let test_printed () =
  prints "help" ["--help"] "virt-nbde-unlock: ";
  prints "help first" ["--help"; "--memsize=512"] "virt-nbde-unlock: ";
  prints "version" ["-V"] ("virt-nbde-unlock " ^ Package.version);
  prints "features" ["--machine-readable"] "virt-nbde-unlock\nlist\n";
  prints "short" ["--short-options"] "-V\n-a\n";
  prints "long" ["--long-options"] "--add\n--blocksize\n"

let test_refused () =
  refused "no disk" ["--list"] "no disk was given: use -a";
  refused "no action" ["-a"; "a"]
    "no action was given: use one or more of --list, --check, --inspect, \
     --output-keys";
  refused "argument" ["-a"; "a"; "--list"; "b"]
    "'b' is not an option; disks are given with -a";
  refused "format at the end" ["-a"; "a"; "--list"; "--format=raw"]
    "option --format must stand before the -a that it is for";
  refused "blocksize" ["--blocksize=1024"; "-a"; "a"; "--list"]
    "option --blocksize: '1024': neither 512 nor 4096";
  refused "timeout" ["-a"; "a"; "--check"; "--tang-timeout=nan"]
    "option --tang-timeout: 'nan': not a number of seconds above 0 and at \
     most 86400";
  refused "keys beside text" ["-a"; "a"; "--list"; "--output-keys=-"]
    "option '--output-keys -' cannot be combined with other output on \
     standard output";
  refused "keys beside JSON" ["-a"; "a"; "--machine-readable";
                              "--output-keys=-"]
    "option '--output-keys -' cannot be combined with other output on \
     standard output";
  refused "force" ["-a"; "a"; "--check"; "--force"]
    "option --force needs --output-keys";
  refused "keys format" ["-a"; "a"; "--check"; "--output-keys-format=lines"]
    "option --output-keys-format needs --output-keys";
  refused "unknown keys format" ["--output-keys-format=x"]
    "option --output-keys-format: 'x': the formats are: lines"

let () =
  test_accepted ();
  test_printed ();
  test_refused ();
  Testing.finish ()
