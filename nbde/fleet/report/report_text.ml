(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The report for people, on a terminal.
 *)

open Printf

open Gettext

(* A paragraph, and how far it stands to the right: later lines a bit more. *)
let wrapped ~width indent text =
  match Wrap.lines ~width:(width - indent - 2) (Escape.text text) with
  | [] -> []
  | first :: rest ->
     Lines.indent indent first :: List.map (Lines.indent (indent + 2)) rest

let percent part = function
  | 0 -> 0
  | whole -> 100 * part / whole

let title t =
  let all = List.length t.Summary.guests in
  let n = Summary.opening t in
  sprintf (fn_ "%d of %d guest opens (%d %%)." "%d of %d guests open (%d %%)." all)
    n all (percent n all)

let times_text t =
  match Summary.times t with
  | None -> s_"There are no records."
  | Some (first, last) ->
     sprintf (f_"Records from %s to %s.") (Times.text first)
       (Times.text last)

let summary ~width t =
  wrapped ~width 0 (sprintf (f_"Fleet %s") t.Summary.state)
  @ wrapped ~width 0 (title t)
  @ wrapped ~width 0 (times_text t)

let counts t =
  List.map (fun (outcome, n) -> sprintf "%7d  %s" n (Standing.text outcome))
    (Summary.counts t)

let heading text = [text; String.make (Escape.width text) '='; ""]

let section text lines = if lines = [] then [] else heading text @ lines

let tasks ~width t =
  let line task = wrapped ~width 0 ("- " ^ Summary.task_text task) in
  List.concat_map line (Summary.tasks t)

let hints troubles =
  List.sort_uniq compare
    (List.filter_map (fun (t : Pins.trouble) -> t.hint) troubles)

let action_text guest =
  match Standing.record guest with
  | None -> ""
  | Some record ->
     sprintf " (%s, %s)" (Records.action_name record.action)
       (Times.text record.started)

let advice_lines ~width outcome hints =
  let hints = if hints = [] then [Standing.advice outcome] else hints in
  List.concat_map (fun hint -> wrapped ~width 2 ("-> " ^ hint)) hints

let guest ~width outcome (guest : Records.guest) =
  let troubles = Standing.troubles guest in
  let why (t : Pins.trouble) = wrapped ~width 2 t.line in
  wrapped ~width 0
    (sprintf "%s: %s%s" guest.name (Standing.text outcome) (action_text guest))
  @ List.concat_map why troubles
  @ advice_lines ~width outcome (hints troubles)

let group ~width outcome { Causes.cause; hints; guests } =
  let n = List.length guests in
  let name (guest : Records.guest) = guest.name in
  wrapped ~width 0
    (sprintf (fn_ "%d guest: %s" "%d guests: %s" n) n (Standing.text outcome))
  @ wrapped ~width 2 cause
  @ advice_lines ~width outcome hints
  @ wrapped ~width 2 (String.concat ", " (List.map name guests))

let guests ~width t =
  let of_outcome outcome =
    if Standing.is_trouble outcome then
      let groups, guests =
        Causes.groups outcome (Summary.guests_of t outcome) in
      List.map (group ~width outcome) groups
      @ List.map (guest ~width outcome) guests
    else [] in
  Lines.blocks (List.concat_map of_outcome Standing.all)

(* Records that are damaged beside others that are not. *)
let damaged ~width t =
  let of_guest ((guest : Records.guest), outcome) =
    if Standing.is_trouble outcome then []
    else
      List.concat_map (fun (file, reason) ->
        wrapped ~width 0 (sprintf "%s: %s: %s" guest.name file reason))
        guest.damaged in
  List.concat_map of_guest t.Summary.guests

let asked_text = function
  | None -> ""
  | Some time -> sprintf (f_", asked %s") (Times.text time)

let key ~width (server : Servers.t) (k : Servers.key) =
  let n = List.length k.guests in
  let path = String.length server.server in
  let path = String.sub k.key.url path (String.length k.key.url - path) in
  let binding =
    match Servers.to_bind k with
    | [] -> []
    | guests ->
       let names = String.concat ", " guests in
       wrapped ~width 4
         (if k.state = Pins.Gone then sprintf (f_"To bind anew: %s") names
          else sprintf (f_"To bind anew before it may be deleted: %s") names) in
  wrapped ~width 2
    (sprintf "%s%s" k.key.kid (if path = "" then "" else sprintf " (%s)" path))
  @ wrapped ~width 4
      (sprintf (fn_ "%s%s; %d guest" "%s%s; %d guests" n)
         (Pins.state_text k.state) (asked_text k.asked) n)
  @ (if k.signed then []
     else wrapped ~width 4 (s_"SIGNATURES NOT GOOD"))
  @ binding

let server ~width (s : Servers.t) =
  let n = List.length s.guests in
  let alone =
    match s.alone with
    | [] -> wrapped ~width 2 (s_"No guest hangs on it alone.")
    | guests ->
       wrapped ~width 2
         (sprintf (f_"On it alone: %s") (String.concat ", " guests)) in
  let reached =
    match s.reached with
    | Answers -> []
    | Nobody_asked -> wrapped ~width 2 (s_"Not asked.")
    | Silent None -> wrapped ~width 2 (s_"No answer.")
    | Silent (Some trouble) ->
       wrapped ~width 2 (sprintf (f_"No answer: %s") trouble.line) in
  wrapped ~width 0
    (sprintf (fn_ "%s: %d guest, %d on it alone" "%s: %d guests, %d on it alone" n)
       s.server n (List.length s.alone))
  @ reached @ alone
  @ List.concat_map (key ~width s) s.keys

let servers ~width t =
  let more = List.length t.Summary.servers - Summary.most_servers in
  let rest =
    if more <= 0 then []
    else
      [wrapped ~width 0
         (sprintf (fn_ "%d more server: --format=json has it."
                     "%d more servers: --format=json has them." more) more)] in
  Lines.blocks
    (List.map (server ~width) (Summary.shown_servers t) @ rest)

let lines ~width t =
  Lines.blocks
    (List.filter (fun block -> block <> []) [
      summary ~width t;
      counts t;
      section (s_"What to do") (tasks ~width t);
      section (s_"Guests that do not open") (guests ~width t);
      section (s_"Damaged records") (damaged ~width t);
      section (s_"Servers and keys") (servers ~width t);
    ])
