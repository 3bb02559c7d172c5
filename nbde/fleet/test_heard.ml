(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What a child says: where its document ends, in whatever pieces it comes, and
 * how little memory it gets.
 *)

open Testing

let hear t stream text =
  let bytes = Bytes.of_string text in
  Heard.hear t stream bytes (Bytes.length bytes)

let document = "{\n  \"a\": {\n  }\n}\n"

(* In pieces of so many bytes. *)
let heard ?(size = 1000) text =
  let t = Heard.make () in
  let rec go at =
    if at < String.length text then (
      let n = min size (String.length text - at) in
      hear t Heard.Stdout (String.sub text at n);
      go (at + n)
    ) in
  go 0;
  Heard.result t

let () =
  List.iter (fun size ->
    let { Heard.document; log; problem; _ } =
      heard ~size (document ^ "}\nof the command\n") in
    text "document" {|{"a": {}}|} (Json.to_string document);
    text "the rest" "}\nof the command\n" log;
    is_true "no problem" (problem = None)) [1; 2; 3; 5; 1000]

(* A command that runs has said nothing yet. *)
let () =
  let t = Heard.make () in
  hear t Stdout "{\n  \"a\": {\n  }\n";
  is_true "not yet" (Heard.document t = None);
  hear t Stdout "}\n";
  is_true "complete" (Heard.document t <> None);
  hear t Stdout "more\n";
  let { Heard.document; log; _ } = Heard.result t in
  text "the same" {|{"a": {}}|} (Json.to_string document);
  text "the command" "more\n" log

let () =
  let none = heard "hello\n" in
  is_true "no document" (none.document = Json.Null && none.problem = None);
  text "log" "hello\n" none.log;
  let nothing = heard "" in
  is_true "nothing" (nothing.document = Json.Null && nothing.log = "");
  is_true "half a document"
    ((heard "{\n  \"a\": 1,").problem <> None)

let () =
  let t = Heard.make () in
  hear t Stderr "virt-nbde-unlock: error: /dev/sda: \027[31mred\n";
  hear t Stderr "virt-nbde-unlock: warning: x\nvirt-nbde-unlock: error: two\n";
  let { Heard.errors; _ } = Heard.result t in
  text "errors" "/dev/sda: \\x1b[31mred|two" (String.concat "|" errors)

(* Bounds. *)
let () =
  let t = Bounded.make 20 in
  let add text =
    Bounded.add t (Bytes.of_string text) 0 (String.length text) in
  add "0123";
  text "short" "0123" (Bounded.contents t);
  add "456789abcdefghij";
  text "full" "0123456789abcdefghij" (Bounded.contents t);
  add "k";
  text "the end counts"
    "0123456789\n... 1 bytes are left out here ...\nbcdefghijk"
    (Bounded.contents t);
  add (String.make 1000 'x');
  is_true "much" (String.length (Bounded.contents t) < 80)

let () =
  let t = Heard.make () in
  hear t Stdout "{\n";
  let piece = String.make 65536 'x' in
  for _ = 1 to 2000 do hear t Stdout piece; hear t Stderr piece done;
  let { Heard.document; problem; log; _ } = Heard.result t in
  is_true "too large" (document = Json.Null && problem <> None);
  is_true "log" (String.length log < 1_100_000);
  let words = (Gc.quick_stat ()).top_heap_words in
  is_true "memory" (words * 8 < 64 * 1024 * 1024)

(* Small, and large when it was read or written. *)
let () =
  let refused name text =
    let { Heard.document; problem; _ } = heard text in
    is_true name (document = Json.Null && problem <> None) in
  let many n = "{\n\"a\": [" ^ String.concat "," (List.init n (fun _ -> "{}"))
               ^ "]\n}\n" in
  let deep n = "{\n\"a\": " ^ String.make n '[' ^ String.make n ']' ^ "\n}\n" in
  is_true "many" ((heard (many 50_000)).problem = None);
  refused "too many" (many 300_000);
  refused "a little too many" (many 150_000);
  is_true "deep" ((heard (deep 40)).problem = None);
  refused "too deep" (deep 100);
  refused "much too deep" (deep 100_000)

let () = finish ()
