(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Selectors of --key, and the options about a guest.
 *)

let accepts text id source =
  let found = Keys.selector text in
  Testing.text text id found.id;
  Testing.is_true text (found.source = source)

let test_accepted () =
  accepts "all:key:x" "all" (Typed "x");
  accepts "/dev/sda2:key:a:b: c" "/dev/sda2" (Typed "a:b: c");
  accepts "/dev/sda2:key:" "/dev/sda2" (Typed "");
  accepts "8b0f7d53:file:/tmp/a:b" "8b0f7d53" (In_file "/tmp/a:b");
  accepts "all:clevis" "all" By_clevis

(* And no passphrase is in the message. *)
let test_refused () =
  let refuses text =
    Testing.refuses text
      "option --key: a selector is ID:key:PASSPHRASE, ID:file:FILE or \
       ID:clevis" (fun () -> Keys.selector text) in
  List.iter refuses [
    ""; "x"; "x:"; ":key:x"; "x:kye:secret"; "x:key"; "x:file"; "x:file:";
    "x:clevis:y";
  ]

let in_file text =
  let name, channel = Filename.open_temp_file "keys" "" in
  output_string channel text;
  close_out channel;
  name

let test_files () =
  let length text =
    let file = in_file text in
    let fd = Unix.openfile file [Unix.O_RDONLY] 0 in
    let key = Clevis.Key.read fd in
    Clevis.Key.chomp key;
    Unix.close fd;
    Sys.remove file;
    Clevis.Key.length key in
  Testing.number "no newline" 3 (length "abc");
  Testing.number "one newline" 3 (length "abc\n");
  Testing.number "two newlines" 4 (length "abc\n\n");
  Testing.number "two lines" 5 (length "ab\ncd\n");
  Testing.number "nothing" 0 (length "");
  Testing.fails "no file" (fun () ->
      Keys.load [{ id = "all"; source = In_file "/nonexistent/key" }]
        (Terminal { echo = false }))

let test_lines () =
  let file = in_file "one\n\nlast" in
  let fd = Unix.openfile file [Unix.O_RDONLY] 0 in
  let line () =
    Option.map Clevis.Key.length (Clevis.Key.read_line fd ~echo:false) in
  Testing.is_true "first" (line () = Some 3);
  Testing.is_true "empty" (line () = Some 0);
  Testing.is_true "last" (line () = Some 4);
  Testing.is_true "end" (line () = None);
  Unix.close fd;
  Sys.remove file

let parse words = Cmdline.parse (Array.of_list ("virt-nbde-unlock" :: words))

let run name words check =
  match parse words with
  | Run c -> Testing.is_true name (check c.guest)
  | Print _ -> Testing.is_true (name ^ " runs") false

let refused name words expected =
  Testing.refuses name expected (fun () -> parse words)

let test_options () =
  run "domain" ["-d"; "g"; "-c"; "test:///default"; "-i"] (fun g ->
    Guest_options.guest g []
    = Types.Domain { name = "g"; uri = Some "test:///default" });
  run "keys" ["-a"; "x"; "-i"; "--key=a:key:1"; "--key"; "a:key:2";
              "--keys-from-stdin"; "--echo-keys"] (fun g ->
    List.map (fun (s : Keys.selector) -> s.source) g.selectors
    = [Typed "1"; Typed "2"]
    && Guest_options.ask g = Standard_input { echo = true });
  run "no keys" ["-a"; "x"; "-i"] (fun g ->
    Guest_options.ask g = Terminal { echo = false });
  run "headers" ["-a"; "x"; "-i"; "--header=/dev/sdb=a=b";
                 "--header"; "/dev/sdc=c"] (fun g ->
    g.headers = ["/dev/sdb", "a=b"; "/dev/sdc", "c"]);
  run "exchange" ["-a"; "x"; "-i"; "--exchange=appliance"] (fun g ->
    g.exchange = Inside);
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
  let inside words = ["-a"; "x"; "--exchange=appliance"] @ words in
  let cannot what =
    "option --exchange=appliance cannot be combined with " ^ what in
  refused "inside check" (inside ["--check"]) (cannot "--check");
  refused "inside keys" (inside ["--output-keys=k"]) (cannot "--output-keys");
  refused "inside policy" (inside ["-i"; "--tang-allow=x"])
    (cannot "options about servers");
  refused "inside without network" (inside ["-i"; "--no-network"])
    (cannot "--no-network")

let () =
  ignore (Clevis.init ());
  test_accepted ();
  test_refused ();
  test_files ();
  test_lines ();
  test_options ();
  Testing.finish ()
