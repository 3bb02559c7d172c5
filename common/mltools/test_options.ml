(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Command lines: what getopt_long(3) accepts, and each kind of error.
 *)

open Options

(* What was found, in order. *)
let note what seen = what :: seen

let options = [
  { names = ["-a"; "--add"];
    argument = Value { metavar = "FILE"; set = (fun v -> note ("a=" ^ v)) };
    help = "add" };
  { names = ["--format"];
    argument = Optional {
      metavar = "FORMAT";
      set = (fun v -> note ("format=" ^ Option.value v ~default:"none"));
    };
    help = "a text that is so long that it does not fit into one line" };
  { names = ["-q"; "--quiet"]; argument = Flag (note "q"); help = "quiet" };
  { names = ["-v"; "--verbose"]; argument = Flag (note "v"); help = "verbose" };
  { names = ["--output"];
    argument = Value { metavar = "N"; set = (fun v ->
      note (string_of_int (integer ~least:1 ~greatest:9 v))) };
    help = "number" };
  { names = ["--output-format"]; argument = Flag (note "of"); help = "" };
]

let parse words =
  let argv = Array.of_list ("prog" :: words) in
  let found, rest = Options.parse options [] argv in
  List.rev found, rest

let strings = Testing.list (Printf.sprintf "%S")

let accepts name words found rest =
  let show (found, rest) = strings found ^ " " ^ strings rest in
  Testing.equal name show (found, rest) (parse words)

let rejects name words message =
  Testing.raises name (function
    | Error error ->
       Testing.text name message (error_message error);
       true
    | _ -> false) (fun () -> parse words)

let test_accepted () =
  accepts "nothing" [] [] [];
  accepts "separate value" ["-a"; "x"] ["a=x"] [];
  accepts "attached value" ["-ax"] ["a=x"] [];
  accepts "long with =" ["--add=x"] ["a=x"] [];
  accepts "long and separate" ["--add"; "x"] ["a=x"] [];
  accepts "empty value" ["--add="] ["a="] [];
  accepts "value like an option" ["-a"; "-q"] ["a=-q"] [];
  accepts "grouped flags" ["-qv"] ["q"; "v"] [];
  accepts "grouped, last with value" ["-qax"] ["q"; "a=x"] [];
  accepts "abbreviation" ["--verb"; "--qu"] ["v"; "q"] [];
  accepts "exact name wins" ["--output=3"] ["3"] [];
  accepts "optional value" ["--format=raw"; "--format"; "raw"]
    ["format=raw"; "format=none"] ["raw"];
  accepts "permutation" ["x"; "-q"; "y"; "-v"] ["q"; "v"] ["x"; "y"];
  accepts "after --" ["-q"; "--"; "-v"; "z"] ["q"] ["-v"; "z"];
  accepts "a lone dash" ["-"; "-q"] ["q"] ["-"];
  accepts "again, from the start" ["-q"] ["q"] []

let test_rejected () =
  rejects "unknown long" ["--bogus"] "there is no option --bogus";
  rejects "unknown long with value" ["--bogus=x"] "there is no option --bogus";
  rejects "unknown short" ["-z"] "there is no option -z";
  rejects "unknown in group" ["-qz"] "there is no option -z";
  rejects "ambiguous" ["--o"] "option --o may mean --output, --output-format";
  rejects "no value, short" ["-a"] "option -a needs a value";
  rejects "no value, long" ["--add"] "option --add needs a value";
  rejects "value for a flag" ["--quiet=yes"] "option --quiet takes no value";
  rejects "value out of range" ["--output"; "10"]
    "option --output: '10': not a whole number from 1 to 9";
  rejects "value not a number" ["--output=0x3"]
    "option --output: '0x3': not a whole number from 1 to 9";
  rejects "value far out of range" ["--output=99999999999999999999"]
    "option --output: '99999999999999999999': not a whole number from 1 to 9"

let test_lists () =
  Testing.equal "short options" strings ["-a"; "-q"; "-v"]
    (short_options options);
  Testing.equal "long options" strings
    ["--add"; "--format"; "--output"; "--output-format"; "--quiet";
     "--verbose"] (long_options options);
  let lines = String.split_on_char '\n' (help options) in
  Testing.text "help line" " -a, --add FILE               add" (List.hd lines);
  Testing.is_true "help fits"
    (List.for_all (fun line -> String.length line <= 80) lines);
  Testing.is_true "help of an optional value"
    (List.exists (String.starts_with ~prefix:" --format[=FORMAT]  ") lines)

(* Settings are a number and a word; the options are of the number. *)
let test_part () =
  let part = [
    opt ["--one"] (Flag (fun n -> n + 1)) "one more";
    opt ["--add"]
      (value "N" (fun text n -> n + integer ~least:1 ~greatest:9 text)) "add";
    opt ["--set"]
      (Optional {
         metavar = "N";
         set = (fun text _ -> int_of_string (Option.value text ~default:"5"));
       }) "set";
  ] in
  let options = of_part (fun change (n, word) -> change n, word) part in
  let is name words expected =
    let found, _ = Options.parse options (0, "x") (Array.of_list ("t" :: words)) in
    Testing.is_true name (found = (expected, "x")) in
  is "a flag and a value of a part" ["--one"; "--add=3"; "--one"] 5;
  is "an optional value of a part" ["--one"; "--set"; "--one"] 6;
  Testing.refuses "a part" "option --add: '0': not a whole number from 1 to 9"
    (fun () -> Options.parse options (0, "x") [| "t"; "--add"; "0" |])

let () =
  test_part ();
  test_accepted ();
  test_rejected ();
  test_lists ();
  Testing.finish ()
