(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the records of a guest come to, why it does not open, and which guests have
 * a reason in common.
 *)

open Testing

let record ?(started = 100.) ?(errors = []) ?devices ?command_status action verdict
    : Records.record =
  { action; verdict; started; seconds = 0.; tries = 1; exit_status = None;
    signal = None; command_status; errors; devices }

let device ?preflight errors : Records.device =
  { name = "/dev/sda"; uuid = None; bound = true; preflight; roots = [];
    answers = []; errors }

(* The newest record first, as Records.read has them. *)
let guest ?(name = "g") ?(damaged = []) records : Records.guest =
  { name; records; damaged }

let outcome what ?(alone = false) expected guest =
  text what expected (Standing.name (Standing.of_guest ~alone guest))

let () =
  let listed = record Records.List Done in
  outcome "listed only" "not-asked" (guest [listed]);
  outcome "nothing" "damaged" (guest ~damaged:["keys.json", "x"] []);
  outcome "no binding" "unbound" (guest [record Records.List Unbound]);
  outcome "a list is no answer, however new" "failed"
    (guest [{ listed with started = 200. }; record Records.Keys Failed]);
  outcome "the newest of the others" "unreachable"
    (guest [record ~started:200. Records.Preflight Unreachable;
            record Records.Keys Done]);
  outcome "opens" "opens" (guest [record Records.Keys Done]);
  outcome "on one server alone" ~alone:true "opens-with-nothing-to-spare"
    (guest [record Records.Keys Done]);
  outcome "as preflight said" "opens-with-nothing-to-spare"
    (guest [record ~started:200. Records.Keys Done;
            record Records.Preflight Done
              ~devices:[device ~preflight:"opens-with-nothing-to-spare" []]]);
  outcome "a damaged record beside a good one" "opens"
    (guest ~damaged:["run.json", "x"] [record Records.Keys Done])

let lines guest =
  List.map (fun (t : Pins.trouble) -> t.line) (Standing.troubles guest)

let with_hint line : Pins.trouble = { (Pins.plain line) with hint = Some "try" }

let () =
  let show = Testing.list Fun.id in
  equal "first what has a hint, each once" show ["why"; "it failed"; "no key"]
    (lines (guest [record Records.Keys Failed
                     ~devices:[device [Pins.plain "it failed"; with_hint "why"]]
                     ~errors:[Pins.plain "why"; Pins.plain "no key"]]));
  equal "the command" show ["the command ended with status 7"]
    (lines (guest [record Records.Run Command_failed ~command_status:7]));
  equal "a file that is no record" show ["keys.json: x"]
    (lines (guest ~damaged:["keys.json", "x"] []));
  number "not all of many" 5
    (List.length
       (lines (guest [record Records.Keys Failed
                        ~errors:(List.init 99 (fun i ->
                                   Pins.plain (string_of_int i)))])))

(* An error of a document: what of it is the same for all guests. *)
let trouble fields =
  let text (name, value) = name, Json.String value in
  Option.get (Pins.trouble ~message:"line" (Json.Dict (List.map text fields)))

let () =
  let unreachable message hint =
    trouble ["code", "unreachable"; "url", "http://A:80/"; "message", message;
             "line", "/dev/sda: " ^ message; "hint", hint] in
  let first = unreachable "cannot connect" "Is it running?" in
  let other =
    unreachable "another run could not reach it 1 seconds ago"
      "Remove /srv/st/servers/0123abcd/down-4567 and try again." in
  text "the first" "http://a could not be reached" first.cause;
  text "the others" first.cause other.cause;
  equal "a hint" (Option.value ~default:"none") (Some "Is it running?") first.hint;
  equal "one that is over" (Option.value ~default:"none") None other.hint;
  let failed name trouble =
    guest ~name [record Records.Keys Unreachable ~devices:[device [trouble]]] in
  let groups, rest =
    Causes.groups Unreachable
      [failed "g1" other; failed "g2" (Pins.plain "else"); failed "g3" first] in
  let names guests = List.map (fun (g : Records.guest) -> g.name) guests in
  let show (g : Causes.group) =
    Printf.sprintf "%s (%s): %s" g.cause (String.concat "," g.hints)
      (String.concat "," (names g.guests)) in
  equal "together" (Testing.list Fun.id)
    ["http://a could not be reached (Is it running?): g1,g3"]
    (List.map show groups);
  equal "alone" (Testing.list Fun.id) ["g2"] (names rest)

(* What a disk says is cut, and is no markup. *)
let () =
  let html s = Html.to_string (Html.text s) in
  is_true "markup" (contains (html "<b>'\"&") "&lt;b&gt;&#39;&quot;&amp;");
  is_true "marks" (contains (html "\xe2\x80\xae") "\\u{202e}");
  let cut = html (String.concat "" (List.init 1000 (fun _ -> "\xc3\xa9"))) in
  is_true "long" (String.length cut < 700);
  is_true "between two characters" (String.length (Escape.utf8 cut) < 700
                                    && not (contains (Escape.utf8 cut) "\\x"))

let () = finish ()
