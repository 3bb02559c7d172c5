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
  Testing.refuses name expected (fun () -> parse words)

let test_accepted () =
  run "command" ["-a"; "a"; "--run"; "--"; "cat"; "-n"; "{keys}"]
    (fun c -> c.run = Some ["cat"; "-n"; "{keys}"]);
  run "defaults" ["-a"; "x"; "--list"] (fun c ->
    c.list && not c.check && not c.inspect && c.output_keys = None
    && c.appliance.network && c.appliance.memsize = None && c.servers = Servers.default);
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
    c.appliance = { memsize = Some 512; foreseen = Appliance.unforeseen;
                    smp = Some 2; network = false; writable = false;
                    verbose = true; trace = true });
  run "the last network option counts"
    ["-a"; "a"; "--check"; "--no-network"; "--network"]
    (fun c -> c.appliance.network);
  run "servers" ["-a"; "a"; "--check"; "--tang-allow=a"; "--tang-allow=b";
                 "--tang-timeout"; "2.5"] (fun c ->
    c.servers.allow = [Pattern "a"; Pattern "b"]
    && c.servers.timeout = Some 2.5);
  run "output format" ["-a"; "a"; "--check"; "--output-format=json"]
    (fun c -> c.output_format = Json);
  run "text" ["-a"; "a"; "--check"; "--output-format=text"]
    (fun c -> c.output_format = Text);
  run "XML beside a file of keys"
    ["-a"; "a"; "-i"; "--output-format=xml"; "--output-keys=k"]
    (fun c -> c.output_format = Xml && not (c.applications || c.icon));
  run "what else to inspect"
    ["-a"; "a"; "-i"; "--applications"; "--icon"]
    (fun c -> c.applications && c.icon);
  run "keys" ["-a"; "a"; "--output-keys"; "k"; "--force"] (fun c ->
    match c.output_keys with
    | Some { file = "k"; force = true; format = { name = "lines"; _ } } -> true
    | Some _ | None -> false)

(* The settings that options make of the default ones. *)
let servers name words expected =
  run name (["-a"; "a"; "--check"] @ words)
    (fun c -> c.servers = expected Servers.default)

let test_servers () =
  let open Servers in
  servers "patterns keep their order"
    ["--tang-allow=a"; "--tang-allow-file=f"; "--tang-allow"; "b"]
    (fun s -> { s with allow = [Pattern "a"; Patterns_in "f"; Pattern "b"] });
  servers "maps keep their order" ["--tang-map=a=http://b"; "--tang-map=c=d"]
    (fun s -> { s with map = ["a=http://b"; "c=d"] });
  servers "resolves keep their order"
    ["--tang-resolve=a:80:192.0.2.1"; "--tang-resolve=b:80:192.0.2.2"]
    (fun s -> { s with resolve = ["a:80:192.0.2.1"; "b:80:192.0.2.2"] });
  servers "https"
    ["--tang-cacert=a"; "--tang-cert=b"; "--tang-key=c"; "--tang-allow=d"]
    (fun s -> { s with cacert = Some "a"; cert = Some "b"; key = Some "c";
                       allow = [Pattern "d"] });
  servers "certificate and key in one file" ["--tang-cert=b"; "--tang-map=c=d"]
    (fun s -> { s with cert = Some "b"; map = ["c=d"] });
  servers "certificate for servers from a file"
    ["--tang-cert=b"; "--tang-allow-file=f"]
    (fun s -> { s with cert = Some "b"; allow = [Patterns_in "f"] });
  List.iter (fun url ->
    servers url ["--tang-proxy"; url] (fun s -> { s with proxy = Some url }))
    ["http://p:3128"; "https://p"; "socks5h://u:p@p:1080"];
  servers "no proxy" ["--no-proxy"] (fun s -> { s with no_proxy = true });
  servers "times" ["--tang-connect-timeout=0.5"; "--deadline=7"]
    (fun s -> { s with connect_timeout = Some 0.5; deadline = Some 7. });
  servers "numbers" ["--tang-retries=0"; "--tang-parallel=256"]
    (fun s -> { s with retries = Some 0; parallel = Some 256 });
  servers "folder of runs" ["--tang-share=d"]
    (fun s -> { s with share = Some "d" });
  servers "folder of keys" ["--tang-keydir=d"]
    (fun s -> { s with keydir = Some "d" });
  servers "replies" ["--import-replies=r"; "--requests-state=s"]
    (fun s -> { s with way = Replies { carried = "r"; state = "s" } });
  servers "replies by name" ["--import-replies=q.replies"]
    (fun s -> { s with way = Replies { carried = "q.replies";
                                            state = "q.state" } });
  run "export" ["-a"; "a"; "--export-requests=q"; "--force"] (fun c ->
    c.servers.way
    = Collect { files = { carried = "q"; state = "q.state" };
                replace = true });
  run "export, state elsewhere"
    ["-a"; "a"; "--list"; "--export-requests=q"; "--requests-state=s"]
    (fun c ->
      c.servers.way
      = Collect { files = { carried = "q"; state = "s" }; replace = false });
  run "preflight" ["-a"; "a"; "--preflight"] (fun c -> c.preflight && c.probe);
  run "preflight without probe" ["-a"; "a"; "--preflight"; "--no-probe"]
    (fun c -> c.preflight && not c.probe);
  Testing.is_true "patterns in a file"
    (Servers.patterns "# all\n a.example \r\n\n*.b.example # some\n[::1]:80"
     = ["a.example"; "*.b.example"; "[::1]:80"])

let mount name words check =
  run name (["-a"; "a"; "--mount"; "d"] @ words) (fun c ->
    match c.mount with
    | Some mount -> check c mount
    | None -> false)

let place device mountpoint options fstype =
  { Filesystems.device; mountpoint; options; fstype; optional = false }

let test_mount () =
  mount "mount" [] (fun c m ->
    m = { directory = "d"; writable = false; places = []; fuse_options = [];
          fork = true; pid_file = None }
    && not c.appliance.writable);
  mount "all of it" ["--rw"; "-o"; "a,b"; "-oc=d"; "--no-fork"; "--pid-file=p"]
    (fun c m ->
      m = { directory = "d"; writable = true; places = [];
            fuse_options = ["a,b"; "c=d"]; fork = false; pid_file = Some "p" }
      && c.appliance.writable);
  mount "by hand"
    ["-m"; "/dev/sda2"; "-m/dev/sda1:/boot:noatime"; "-m"; "/dev/b:/b::ext4";
     "-m"; "btrfsvol:/dev/sdb1/home:/home"] (fun _ m ->
    m.places = [
      place "/dev/sda2" "/" None None;
      place "/dev/sda1" "/boot" (Some "noatime") None;
      place "/dev/b" "/b" None (Some "ext4");
      place "btrfsvol:/dev/sdb1/home" "/home" None None;
    ])

let test_crypttab () =
  let lines = ["# sda2_crypt /dev/x"; "";
               "sda2_crypt\tUUID=1  none luks"; "b /dev/vda3"; "c"] in
  let source name = Filesystems.crypttab_source lines name in
  Testing.is_true "crypttab"
    (source "sda2_crypt" = Some "UUID=1" && source "b" = Some "/dev/vda3"
     && source "c" = None && source "#" = None && source "d" = None)

let test_printed () =
  prints "help" ["--help"] "virt-nbde-unlock: ";
  prints "help first" ["--help"; "--memsize=512"] "virt-nbde-unlock: ";
  prints "version" ["-V"] ("virt-nbde-unlock " ^ Package.version);
  prints "features" ["--machine-readable"] "virt-nbde-unlock\nlist\n";
  prints "short" ["--short-options"] "-V\n-a\n";
  prints "long" ["--long-options"] "--add\n--appliance\n--applications\n"

let test_refused () =
  refused "no command" ["-a"; "a"; "--run"; "--"]
    "option --run needs a command after '--'";
  refused "run and mount" ["-a"; "a"; "--mount"; "m"; "--run"; "--"; "x"]
    "option --run cannot be combined with --mount";
  refused "never and inspect" ["-a"; "a"; "-i"; "--appliance=never"]
    "option --appliance=never cannot be combined with --inspect";
  refused "never and mount" ["-a"; "a"; "--mount"; "m"; "--appliance=never"]
    "option --appliance=never cannot be combined with --mount";
  refused "another word" ["-a"; "a"; "--list"; "--appliance=perhaps"]
    "option --appliance: 'perhaps': none of auto, always, never";
  refused "no disk" ["--list"] "no disk was given: use -a or -d";
  refused "no action" ["-a"; "a"]
    "no action was given: use one or more of --list, --preflight, --check, \
     --inspect, --mount, --output-keys, --run, --export-requests";
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
    "option --force needs --output-keys or --export-requests";
  refused "keys format" ["-a"; "a"; "--check"; "--output-keys-format=lines"]
    "option --output-keys-format needs --output-keys";
  let xml name words =
    refused name (["-a"; "a"; "-i"; "--output-format=xml"] @ words)
      "option --output-format=xml cannot be combined with other output on \
       standard output" in
  xml "XML beside a list" ["--list"];
  xml "XML beside a check" ["--check"];
  xml "XML among messages" ["--machine-readable"];
  let uninspected option =
    refused ("without --inspect: " ^ option) ["-a"; "a"; "--check"; option]
      (Printf.sprintf "option %s needs --inspect" option) in
  List.iter uninspected ["--output-format=xml"; "--applications"; "--icon"];
  let check name words = refused name (["-a"; "a"; "--check"] @ words) in
  check "key without certificate" ["--tang-key=k"]
    "option --tang-key needs --tang-cert";
  check "certificate for nobody" ["--tang-cert=c"; "--tang-cacert=a"]
    "option --tang-cert needs --tang-allow or --tang-map: it is only shown to \
     servers that these name";
  check "proxy of another kind" ["--tang-proxy=socks5://p"]
    "option --tang-proxy: 'socks5://p': not the URL of an http, https or \
     socks5h proxy";
  check "proxy and none" ["--tang-proxy=http://p"; "--no-proxy"]
    "option --tang-proxy cannot be combined with --no-proxy";
  check "retries" ["--tang-retries=101"]
    "option --tang-retries: '101': not a whole number from 0 to 100";
  check "parallel" ["--tang-parallel=0"]
    "option --tang-parallel: '0': not a whole number from 1 to 256";
  check "no folder of runs" ["--tang-share="]
    "option --tang-share: '': not the name of a folder";
  check "deadline" ["--deadline=0"]
    "option --deadline: '0': not a number of seconds above 0 and at most 86400";
  check "replies of no known state" ["--import-replies=r"]
    "option --import-replies needs --requests-state, unless its FILE has the \
     name of the requests with .replies behind it";
  check "state alone" ["--requests-state=s"]
    "option --requests-state needs --export-requests or --import-replies";
  check "both steps" ["--export-requests=q"; "--import-replies=r"]
    "option --export-requests cannot be combined with --import-replies";
  check "keys and replies" ["--tang-keydir=d"; "--import-replies=q.replies"]
    "option --tang-keydir cannot be combined with --export-requests or \
     --import-replies";
  check "export and check" ["--export-requests=q"]
    "option --export-requests can only be combined with the action --list";
  check "preflight and check" ["--preflight"]
    "option --preflight can only be combined with the action --list";
  check "probe" ["--no-probe"] "option --no-probe needs --preflight";
  refused "same file twice" ["-a"; "a"; "--export-requests=q";
                             "--requests-state=q"]
    "--export-requests and --requests-state name the same file";
  refused "replies for nothing" ["-a"; "a"; "--list";
                                 "--import-replies=q.replies"]
    "option --import-replies needs --check, --inspect, --mount, \
     --output-keys or --run";
  refused "unknown keys format" ["--output-keys-format=x"]
    "option --output-keys-format: 'x': the formats are: lines, dir, args, secret, json"

let () =
  test_mount ();
  test_crypttab ();
  test_accepted ();
  test_servers ();
  test_printed ();
  test_refused ();
  Testing.finish ()
