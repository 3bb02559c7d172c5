(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The report as JUnit XML.
 *)

open Printf

open Gettext

open Xml

type result = Passed | Skipped | Failure of string | Error of string

let result_of : Records.verdict -> result = function
  | Done -> Passed
  | Unbound -> Skipped
  | Failed as verdict -> Failure (Records.verdict_name verdict)
  | (Unreachable | Error | Killed | Command_failed) as verdict ->
     Error (Records.verdict_name verdict)

(* What of a record went wrong: as Standing has it, of this one alone. *)
let troubles (guest : Records.guest) record =
  Standing.troubles { guest with records = [record]; damaged = [] }

let message_of troubles fallback =
  match troubles with
  | (t : Pins.trouble) :: _ -> t.line
  | [] -> fallback

let details troubles =
  let lines (t : Pins.trouble) =
    t.line :: List.map (sprintf (f_"hint: %s")) (Option.to_list t.hint) in
  Text (String.concat "\n" (List.concat_map lines troubles))

let case ~name ~action ~seconds children =
  Element ("testcase",
           ["classname", "virt-nbde-fleet." ^ action; "name", name;
            "time", sprintf "%.3f" seconds], children)

let child result troubles =
  let bad element kind =
    [Element (element, ["type", kind; "message", message_of troubles kind],
              [details troubles])] in
  match result with
  | Passed -> []
  | Skipped ->
     [Element ("skipped", ["message", message_of troubles "unbound"], [])]
  | Failure kind -> bad "failure" kind
  | Error kind -> bad "error" kind

type row = {
  result : result;
  seconds : float;
  started : float option;
  element : tree;
}

let row_of (guest : Records.guest) (record : Records.record) =
  let result = result_of record.verdict in
  let action = Records.action_name record.action in
  { result;
    seconds = record.seconds;
    started = Some record.started;
    element =
      case ~name:guest.name ~action ~seconds:record.seconds
        (child result (troubles guest record)) }

let damaged_row (guest : Records.guest) action reason =
  let result = Error "damaged" in
  let trouble = Pins.plain reason in
  { result; seconds = 0.; started = None;
    element = case ~name:guest.name ~action ~seconds:0. (child result [trouble]) }

let rows (t : Summary.t) action =
  let name = Records.action_name action in
  let of_guest ((guest : Records.guest), _) =
    let is_it (r : Records.record) = r.action = action in
    match List.find_opt is_it guest.records with
    | Some record -> Some (row_of guest record)
    | None ->
       Option.map (damaged_row guest name)
         (List.assoc_opt (name ^ ".json") guest.damaged) in
  List.filter_map of_guest t.guests

let number_of rows wanted =
  string_of_int (List.length (List.filter (fun row -> wanted row.result) rows))

let seconds_of rows =
  sprintf "%.3f" (List.fold_left (fun sum row -> sum +. row.seconds) 0. rows)

let numbers rows = [
  "tests", string_of_int (List.length rows);
  "failures", number_of rows (function Failure _ -> true | _ -> false);
  "errors", number_of rows (function Error _ -> true | _ -> false);
  "skipped", number_of rows (fun result -> result = Skipped);
  "time", seconds_of rows;
]

(* Without a time zone: some readers take no other, and mean UTC. *)
let timestamp rows =
  match List.sort compare (List.filter_map (fun row -> row.started) rows) with
  | [] -> []
  | first :: _ ->
     let text = Times.rfc3339 first in
     ["timestamp", String.sub text 0 (String.length text - 1)]

let suite t action =
  match rows t action with
  | [] -> None
  | rows ->
     let name = "virt-nbde-fleet " ^ Records.action_name action in
     let attributes = ("name", name) :: numbers rows @ timestamp rows in
     Some (Element ("testsuite", attributes,
                    List.map (fun row -> row.element) rows))

let document t =
  let all = List.concat_map (rows t) Records.actions in
  let suites = List.filter_map (suite t) Records.actions in
  Xml.document
    (Element ("testsuites", ("name", "virt-nbde-fleet") :: numbers all, suites))
