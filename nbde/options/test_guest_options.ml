(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The options about a guest.
 *)

let parse words = Cmdline.parse (Array.of_list ("virt-nbde-unlock" :: words))

let run name words check =
  match parse words with
  | Run c -> Testing.is_true name (check c.guest)
  | Print _ -> Testing.is_true (name ^ " runs") false

let refused name words expected =
  Testing.refuses name expected (fun () -> parse words)

let () =
  run "domain" ["-d"; "g"; "-c"; "test:///default"; "-i"] (fun g ->
    Guest_options.guest g []
    = Types.Domain { name = "g"; uri = Some "test:///default" });
  run "keys" ["-a"; "x"; "-i"; "--key=a:key:1"; "--key"; "a:key:2";
              "--keys-from-stdin"; "--echo-keys"] (fun g ->
    List.map (fun (s : Given_keys.selector) -> s.source) g.selectors
    = [Typed "1"; Typed "2"]
    && Guest_options.ask g = Standard_input { echo = true });
  run "no keys" ["-a"; "x"; "-i"] (fun g ->
    Guest_options.ask g = Terminal { echo = false });
  run "headers" ["-a"; "x"; "-i"; "--header=/dev/sdb=a=b";
                 "--header"; "/dev/sdc=c"] (fun g ->
    g.headers = ["/dev/sdb", "a=b"; "/dev/sdc", "c"]);
  run "exchange" ["-a"; "x"; "-i"; "--exchange=appliance"] (fun g ->
    g.place = In_appliance);
  refused "both" ["-a"; "x"; "-d"; "g"; "-i"]
    "options -a and -d cannot be combined";
  refused "two domains" ["-d"; "f"; "-d"; "g"; "-i"]
    "option -d can be given only once";
  refused "URI without domain" ["-a"; "x"; "-c"; "test:///default"; "-i"]
    "option -c needs -d";
  refused "neither" ["-i"] "no disk was given: use -a or -d";
  refused "header" ["--header=/dev/sdb"]
    "option --header: '/dev/sdb': is not /dev/NAME=FILE";
  refused "header of no device" ["--header=sdb=x"]
    "option --header: 'sdb=x': is not /dev/NAME=FILE";
  refused "two headers" ["--header=/dev/sdb=x"; "--header=/dev/sdb=y"]
    "option --header: '/dev/sdb=y': the device was named before";
  refused "exchange by nobody" ["--exchange=guest"]
    "option --exchange: 'guest': neither host nor appliance";
  let in_appliance words = ["-a"; "x"; "--exchange=appliance"] @ words in
  let cannot what =
    "option --exchange=appliance cannot be combined with " ^ what in
  refused "appliance, check" (in_appliance ["--check"]) (cannot "--check");
  refused "appliance, keys" (in_appliance ["--output-keys=k"])
    (cannot "--output-keys");
  refused "appliance, policy" (in_appliance ["-i"; "--tang-allow=x"])
    (cannot "options about servers");
  refused "appliance, no network" (in_appliance ["-i"; "--no-network"])
    (cannot "--no-network");
  Testing.finish ()
