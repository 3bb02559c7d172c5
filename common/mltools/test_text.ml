(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Text for people and programs: escaping, wrapping, tables, sizes, JSON,
 * translated formats.
 *)

let test_escape () =
  let text name input expected =
    Testing.text name expected (Escape.text input) in
  text "plain" "guest-1.img" "guest-1.img";
  text "other scripts" "Größe 日本語" "Größe 日本語";
  text "escape sequence" "a\027[31mb" "a\\x1b[31mb";
  text "line feed and tab" "a\nb\tc" "a\\x0ab\\x09c";
  text "delete" "\127" "\\x7f";
  text "C1 control" "\xc2\x9b31m" "\\u{9b}31m";
  text "turned direction" "a\xe2\x80\xaeb" "a\\u{202e}b";
  text "isolate" "\xe2\x81\xa6" "\\u{2066}";
  text "no width" "\xe2\x80\x8b\xef\xbb\xbf" "\\u{200b}\\u{feff}";
  text "not UTF-8" "a\xffb\xc3" "a\\xffb\\xc3";
  text "C1 as a byte" "\x9b" "\\x9b";
  text "too long a form" "\xc0\xaf" "\\xc0\\xaf";
  text "surrogate" "\xed\xa0\x80" "\\xed\\xa0\\x80";
  text "beyond Unicode" "\xf4\x90\x80\x80" "\\xf4\\x90\\x80\\x80";
  text "cut off" "\xe2\x80" "\\xe2\\x80";
  Testing.text "twice is once" (Escape.text "\027\xff")
    (Escape.text (Escape.text "\027\xff"));
  Testing.text "lines" "a\nb\\x0d" (Escape.lines "a\nb\r");
  Testing.text "only UTF-8" "\027\\xff" (Escape.utf8 "\027\xff");
  let kept = "a\n\tb<]]>\xc3\xb6\xe2\x80\xae" in
  Testing.text "XML" (kept ^ "\\x0d\\x1b\\u{ffff}\\u{9b}\\xff")
    (Escape.xml (kept ^ "\r\027\xef\xbf\xbf\xc2\x9b\xff"));
  Testing.text "XML attribute" "a\\x0a\\x09b\""
    (Escape.xml_attribute "a\n\tb\"");
  Testing.number "width" 3 (Escape.width "a\xc3\xb6b")

let test_base64 () =
  let encoded name input expected =
    Testing.text name expected (Base64.encode input) in
  (* RFC 4648, section 10 *)
  encoded "no byte" "" "";
  encoded "one byte" "f" "Zg==";
  encoded "two bytes" "fo" "Zm8=";
  encoded "three bytes" "foo" "Zm9v";
  encoded "six bytes" "foobar" "Zm9vYmFy";
  encoded "high bytes" "\xff\xfe\xfd\x00" "//79AA=="

let test_lines () =
  Testing.equal "blocks" (Testing.list (Printf.sprintf "%S"))
    ["a"; "b"; ""; "  c"] (Lines.blocks [["a"; "b"]; [Lines.indent 2 "c"]])

let test_wrap () =
  let show = Testing.list (Printf.sprintf "%S") in
  Testing.equal "lines" show ["aa bb"; "cc"] (Wrap.lines ~width:5 "aa bb cc");
  Testing.equal "long word" show ["aaaaaaa"; "b"]
    (Wrap.lines ~width:5 "aaaaaaa b");
  Testing.equal "nothing" show [] (Wrap.lines ~width:5 "");
  Testing.text "paragraph" "aa\n  bb cc"
    (Wrap.paragraph ~width:7 ~indent:2 ~first:4 "aa bb cc");
  Testing.equal "table" show ["  a    bb  c"; "  \xc3\xb6\xc3\xb6\xc3\xb6  d"]
    (Table.lines ~indent:2
       [["a"; "bb"; "c"]; ["\xc3\xb6\xc3\xb6\xc3\xb6"; "d"]]);
  Testing.equal "table escapes" show ["\\x1b  x"] (Table.lines [["\027"; "x"]])

let test_sizes () =
  let size bytes expected =
    Testing.text (Int64.to_string bytes) expected (Humansize.bytes bytes) in
  size 0L "0 B";
  size 1023L "1023 B";
  size 1024L "1 KiB";
  size 1536L "1.5 KiB";
  size 16_777_216L "16 MiB";
  size 1_073_741_823L "1 GiB";
  size 1_610_612_736L "1.5 GiB";
  size Int64.max_int "8 EiB"

let test_json () =
  let json name value expected =
    Testing.text name expected (Json.to_string value) in
  json "null" Null "null";
  json "scalars" (List [Bool true; Int (-5L); Float 0.5; String "x"])
    "[true, -5, 0.5, \"x\"]";
  json "dict keeps its order" (Dict ["b", Int 1L; "a", List []; "c", Dict []])
    "{\"b\": 1, \"a\": [], \"c\": {}}";
  json "large number" (Int Int64.max_int) "9223372036854775807";
  json "quotes" (String "a\"b\\c") "\"a\\\"b\\\\c\"";
  json "controls" (String "\000\n\027\127") "\"\\u0000\\n\\u001B\\u007f\"";
  json "other scripts" (String "\xc3\xb6") "\"\\u00F6\"";
  json "not UTF-8" (String "\xff") "\"\\\\xff\"";
  Testing.text "indented" "{\n  \"a\": 1\n}"
    (Json.to_string ~indent:true (Dict ["a", Int 1L]));
  Testing.raises "no number"
    (function Invalid_argument _ -> true | _ -> false)
    (fun () -> Json.to_string (Float nan))

let test_translation () =
  let translated text = Printf.sprintf (Gettext.checked text "%s of %d") in
  Testing.text "translated" "2: x" (translated "%s of %d" "2: x" 0
                                    |> fun s -> String.sub s 0 4);
  Testing.text "other words" "x von 3" (translated "%s von %d" "x" 3);
  Testing.text "other conversions" "x of 3" (translated "%d von %s" "x" 3);
  Testing.text "fewer conversions" "x of 3" (translated "%s" "x" 3);
  Testing.text "not a format" "x of 3" (translated "%s von %" "x" 3);
  Testing.text "quotes and percent" "\"x\" 3%"
    (translated "\"%s\" %d%%" "x" 3);
  Testing.text "one" "1 key"
    (Printf.sprintf (Gettext.fn_ "%d key" "%d keys" 1) 1);
  Testing.text "two" "2 keys"
    (Printf.sprintf (Gettext.fn_ "%d key" "%d keys" 2) 2);
  Testing.text "no catalogue" "abc" (Gettext.s_ "abc");
  Testing.text "not the header" "" (Gettext.s_ "")

let test_progress () =
  let bar position = Progress.bar ~width:17 ~position ~total:100L in
  Testing.text "start" "[----------]   0%" (bar 0L);
  Testing.text "half" "[#####-----]  50%" (bar 50L);
  Testing.text "end" "[##########] 100%" (bar 100L);
  Testing.text "beyond" "[##########] 100%" (bar 500L);
  Testing.text "no total" "[----------]   0%"
    (Progress.bar ~width:17 ~position:1L ~total:0L)

let () =
  test_escape ();
  test_base64 ();
  test_lines ();
  test_wrap ();
  test_sizes ();
  test_json ();
  test_translation ();
  test_progress ();
  Testing.finish ()
