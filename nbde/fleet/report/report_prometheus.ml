(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The report for Prometheus.
 *)

open Printf

(* The texts are no messages: those who write alerts look for them. *)
type metric = {
  name : string;
  help : string;
  samples : ((string * string) list * float) list;
}

let count list = float (List.length list)

(* Of text that was escaped for people before, so there is no control character
 * in it.
 *)
let quoted value =
  let piece = function
    | '\\' -> "\\\\"
    | '"' -> "\\\""
    | '\n' -> "\\n"
    | c -> String.make 1 c in
  String.concat "" (List.map piece (List.of_seq (String.to_seq value)))

let label (name, value) = sprintf "%s=\"%s\"" name (quoted (Escape.text value))

let sample name (labels, value) =
  let set =
    if labels = [] then ""
    else sprintf "{%s}" (String.concat "," (List.map label labels)) in
  let number =
    if Float.is_integer value then sprintf "%.0f" value
    else sprintf "%.3f" value in
  sprintf "%s%s %s" name set number

let metric_lines { name; help; samples } =
  let name = "virt_nbde_fleet_" ^ name in
  if samples = [] then []
  else
    sprintf "# HELP %s %s" name help
    :: sprintf "# TYPE %s gauge" name
    :: List.map (sample name) samples

let records (t : Summary.t) =
  List.concat_map (fun (guest, _) -> guest.Records.records) t.guests

let of_actions t =
  let records = records t in
  let of_action action =
    List.filter (fun (r : Records.record) -> r.action = action) records in
  let verdicts action =
    match of_action action with
    | [] -> []
    | records ->
       List.map (fun verdict ->
         let is_it (r : Records.record) = r.verdict = verdict in
         ["action", Records.action_name action;
          "verdict", Records.verdict_name verdict],
         count (List.filter is_it records)) Records.verdicts in
  let time choose action =
    match
      List.map (fun (r : Records.record) -> r.started) (of_action action)
    with
    | [] -> None
    | first :: rest ->
       Some (["action", Records.action_name action],
             List.fold_left choose first rest) in
  [ { name = "records";
      help = "Guests by action and by the verdict of its last end.";
      samples = List.concat_map verdicts Records.actions };
    { name = "oldest_record_timestamp_seconds";
      help = "When the oldest record of an action was begun.";
      samples = List.filter_map (time min) Records.actions };
    { name = "newest_record_timestamp_seconds";
      help = "When the newest record of an action was begun.";
      samples = List.filter_map (time max) Records.actions } ]

(* As OpenSSL prints it: "Nov 28 17:30:00 2026 GMT". *)
let expiry_time text =
  let months =
    ["Jan"; "Feb"; "Mar"; "Apr"; "May"; "Jun"; "Jul"; "Aug"; "Sep"; "Oct"; "Nov";
     "Dec"] in
  let date month day hour minute second year =
    let rec number i = function
      | [] -> 0
      | m :: rest -> if m = month then i else number (i + 1) rest in
    Times.of_rfc3339
      (sprintf "%04d-%02d-%02dT%02d:%02d:%02dZ" year (number 1 months) day hour
         minute second) in
  try Scanf.sscanf text " %3s %2u %2u:%2u:%2u %4u GMT%!" date
  with Scanf.Scan_failure _ | Failure _ | End_of_file -> None

let of_servers t =
  let servers = Summary.shown_servers t in
  let for_all f =
    List.filter_map (fun (s : Servers.t) ->
      Option.map (fun value -> ["server", s.server], value) (f s)) servers in
  let keys (s : Servers.t) =
    List.map (fun state ->
      let is_it (k : Servers.key) = k.state = state in
      ["server", s.server; "state", Pins.state_name state],
      count (List.filter is_it s.keys)) Pins.states in
  let up (s : Servers.t) =
    match s.reached with
    | Answers -> Some 1.
    | Silent _ -> Some 0.
    | Nobody_asked -> None in
  let to_bind (s : Servers.t) =
    count (List.sort_uniq compare (List.concat_map Servers.to_bind s.keys)) in
  [ { name = "server_guests";
      help = "Guests that are bound to a key of the server.";
      samples = for_all (fun s -> Some (count s.guests)) };
    { name = "server_guests_alone";
      help = "Guests that do not open without the server.";
      samples = for_all (fun s -> Some (count s.alone)) };
    { name = "server_guests_to_bind_anew";
      help = "Guests whose key the server no longer advertises.";
      samples = for_all (fun s -> Some (to_bind s)) };
    { name = "server_up";
      help = "Whether the server answered when it was asked last.";
      samples = for_all up };
    { name = "server_asked_timestamp_seconds";
      help = "When the server was asked last.";
      samples = for_all (fun s -> s.asked) };
    { name = "server_certificate_expiry_timestamp_seconds";
      help = "Until when the certificate of the server is valid.";
      samples = for_all (fun s -> Option.bind s.expiry expiry_time) };
    { name = "server_keys";
      help = "Keys that guests are bound to, by what became of them.";
      samples = List.concat_map keys servers } ]

let of_fleet (t : Summary.t) =
  let outcome o = ["outcome", Standing.name o], float (Summary.count t o) in
  let damaged (guest, _) = guest.Records.damaged <> [] in
  let single name help value = { name; help; samples = [[], value] } in
  [ { name = "guests"; help = "Guests by what their records come to.";
      samples = List.map outcome Standing.all };
    single "guests_opening" "Guests that open."
      (float (Summary.opening t));
    single "guests_to_bind_anew"
      "Guests with a key that its server no longer advertises."
      (count t.to_bind);
    single "guests_with_damaged_records" "Guests with a file that is no record."
      (count (List.filter damaged t.guests));
    single "servers" "Servers that guests are bound to, also those not named here."
      (count t.servers);
    single "report_timestamp_seconds" "When this report was made." t.made ]

let text t =
  let lines =
    List.concat_map metric_lines (of_fleet t @ of_actions t @ of_servers t) in
  String.concat "\n" lines ^ "\n"
