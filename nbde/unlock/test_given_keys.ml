(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Selectors of --key, and how keys are read.
 *)

let accepts text id source =
  let found = Given_keys.selector text in
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
       ID:clevis" (fun () -> Given_keys.selector text) in
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
      Given_keys.load [{ id = "all"; source = In_file "/nonexistent/key" }]
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

let () =
  Clevis.init ();
  test_accepted ();
  test_refused ();
  test_files ();
  test_lines ();
  Testing.finish ()
