(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The report for programs.
 *)

open Json

let version = 1

let int n = Int (Int64.of_int n)
let nullable f = Option.fold ~none:Null ~some:f
let text s = String s
let list f items = List (List.map f items)
let names = list text
let time seconds = String (Times.rfc3339 seconds)

let trouble (t : Pins.trouble) =
  Dict ["message", String t.line; "hint", nullable text t.hint]

let record (r : Records.record) =
  Dict [
    "action", String (Records.action_name r.action);
    "verdict", String (Records.verdict_name r.verdict);
    "started", time r.started;
    "seconds", Float r.seconds;
    "tries", int r.tries;
    "exit_status", nullable int r.exit_status;
    "signal", nullable int r.signal;
    "command_status", nullable int r.command_status;
  ]

let damaged (file, reason) =
  Dict ["file", String file; "reason", String reason]

let guest to_bind ((g : Records.guest), outcome) =
  Dict [
    "name", String g.name;
    "outcome", String (Standing.name outcome);
    "opens", Bool (Standing.opens outcome);
    "bind_anew", Bool (Hashtbl.mem to_bind g.name);
    "errors",
      list trouble
        (if Standing.is_trouble outcome then Standing.troubles g else []);
    "records", list record g.records;
    "damaged", list damaged g.damaged;
  ]

let key (k : Servers.key) =
  Dict [
    "kid", String k.key.kid;
    "url", String k.key.url;
    "state", String (Pins.state_name k.state);
    "signatures", (if k.asked = None then Null else Bool k.signed);
    "asked", nullable time k.asked;
    "guests", names k.guests;
    "needed_by", names k.needed_by;
    "to_bind_anew", names (Servers.to_bind k);
  ]

let server (s : Servers.t) =
  let reached, error =
    match s.reached with
    | Answers -> "answers", None
    | Silent error -> "no-answer", error
    | Nobody_asked -> "not-asked", None in
  Dict [
    "server", String s.server;
    "reached", String reached;
    "error", nullable trouble error;
    "asked", nullable time s.asked;
    "certificate_expiry", nullable text s.expiry;
    "guests", names s.guests;
    "alone", names s.alone;
    "keys", list key s.keys;
  ]

let counts t =
  Dict (List.map (fun o -> Standing.name o, int (Summary.count t o)) Standing.all)

let json (t : Summary.t) =
  let to_bind = Hashtbl.create 64 in
  List.iter (fun name -> Hashtbl.replace to_bind name ()) t.to_bind;
  let times = Summary.times t in
  Dict [
    "version", int version;
    "program", String "virt-nbde-fleet";
    "program_version", String Package.version;
    "made", time t.made;
    "state", String t.state;
    "oldest", nullable (fun (first, _) -> time first) times;
    "newest", nullable (fun (_, last) -> time last) times;
    "guests_total", int (List.length t.guests);
    "guests_opening", int (Summary.opening t);
    "outcomes", counts t;
    "to_do", list (fun task -> String (Summary.task_text task)) (Summary.tasks t);
    "to_bind_anew", names t.to_bind;
    "guests", list (guest to_bind) t.guests;
    "servers", list server t.servers;
  ]
