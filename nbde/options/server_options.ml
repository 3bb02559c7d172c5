(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The options that say how servers are asked.
 *)

open Printf

open Gettext
open Options

type t = {
  so_far : Servers.settings;    (* lists in reverse *)
  requests : string option;
  replies : string option;
  state : string option;
}

let initial = {
  so_far = Servers.default;
  requests = None;
  replies = None;
  state = None;
}

(* A day is longer than anybody waits. *)
let greatest_timeout = 86_400.

let seconds text =
  let plain =
    String.for_all (function '0'..'9' | '.' -> true | _ -> false) text in
  match if plain then float_of_string_opt text else None with
  | Some n when n > 0. && n <= greatest_timeout -> n
  | Some _ | None ->
     raise (Invalid (sprintf (f_"not a number of seconds above 0 and at \
                                 most %.0f") greatest_timeout))

let proxy text =
  if Servers.check_proxy text then text
  else raise (Invalid (s_"not the URL of an http, https or socks5h proxy"))

let same text = text

let folder text =
  if text = "" then raise (Invalid (s_"not the name of a folder")) else text

(* A value that convert reads and set puts into the settings. *)
let setting name metavar (convert, set) help =
  let set text =
    let v = convert text in
    fun t -> { t with so_far = set v t.so_far } in
  opt [name] (value metavar set) help

(* A value that waits for the others. *)
let later name metavar set help =
  opt [name] (value metavar (fun text -> set (Some text))) help

let policy_options : _ Options.t list =
  let open Servers in
  [
    setting "--tang-allow" "PATTERN"
      (same, fun pattern s -> { s with allow = Pattern pattern :: s.allow })
      (s_"Ask only servers that match a pattern");
    setting "--tang-allow-file" "FILE"
      (same, fun file s -> { s with allow = Patterns_in file :: s.allow })
      (s_"The same, with patterns from a file");
    setting "--tang-keydir" "DIR"
      (same, fun dir s -> { s with keydir = Some dir })
      (s_"Answer from a folder of Tang's keys; ask no server");
    setting "--tang-map" "FROM=TO"
      (same, fun map s -> { s with map = map :: s.map })
      (s_"Ask another server than the one that a token names");
    setting "--tang-resolve" "HOST:PORT:ADDR"
      (same, fun entry s -> { s with resolve = entry :: s.resolve })
      (s_"Address of a server, instead of asking a name server");
  ]

let connection_options : _ Options.t list =
  let open Servers in
  [
    setting "--tang-cacert" "FILE"
      (same, fun file s -> { s with cacert = Some file })
      (s_"CAs to trust for https, instead of the system's");
    setting "--tang-cert" "FILE"
      (same, fun file s -> { s with cert = Some file })
      (s_"Client certificate for https");
    setting "--tang-key" "FILE"
      (same, fun file s -> { s with key = Some file })
      (s_"Its key, if that is in another file");
    setting "--tang-proxy" "URL"
      (proxy, fun url s -> { s with proxy = Some url })
      (s_"Ask servers through a proxy");
    opt ["--no-proxy"]
      (Flag (fun t -> { t with so_far = { t.so_far with no_proxy = true } }))
      (s_"Ask servers without a proxy");
  ]

let time_options : _ Options.t list =
  let open Servers in
  [
    setting "--deadline" "SECONDS"
      (seconds, fun n s -> { s with deadline = Some n })
      (s_"Longest time for the whole exchange with the servers");
    setting "--tang-connect-timeout" "SECONDS"
      (seconds, fun n s -> { s with connect_timeout = Some n })
      (s_"Longest time until a server is connected to");
    setting "--tang-parallel" "N"
      (integer ~least:1 ~greatest:256,
       fun n s -> { s with parallel = Some n })
      (s_"Number of requests to one server at a time");
    setting "--tang-retries" "N"
      (integer ~least:0 ~greatest:100, fun n s -> { s with retries = Some n })
      (s_"How often a request is repeated that failed for the moment");
    setting "--tang-share" "DIR"
      (folder, fun dir s -> { s with share = Some dir })
      (s_"Spare servers together with other runs that name this folder");
    setting "--tang-timeout" "SECONDS"
      (seconds, fun n s -> { s with timeout = Some n })
      (s_"Longest time for one request to a server");
  ]

let file_options : _ Options.t list =
  [
    later "--export-requests" "FILE"
      (fun requests t -> { t with requests })
      (s_"Write what would be asked, for another machine to ask it");
    later "--import-replies" "FILE"
      (fun replies t -> { t with replies })
      (s_"Use the replies that another machine got");
    later "--requests-state" "FILE"
      (fun state t -> { t with state })
      (s_"What is kept, secret, between the two steps");
  ]

let options =
  policy_options @ connection_options @ time_options @ file_options

let way ~force { requests; replies; state; _ } =
  match requests, replies, state with
  | Some "", _, _ | _, Some "", _ | _, _, Some "" ->
     usage (f_"options --export-requests, --import-replies and \
               --requests-state need the name of a file")
  | Some _, Some _, _ ->
     usage (f_"option --export-requests cannot be combined with \
               --import-replies")
  | Some requests, None, _ ->
     let default = Servers.default_state ~requests in
     let state = Option.value state ~default in
     if state = requests then
       usage (f_"--export-requests and --requests-state name the same file");
     Servers.Collect { files = { carried = requests; state };
                       replace = force }
  | None, Some replies, Some state ->
     Servers.Replies { carried = replies; state }
  | None, Some replies, None ->
     (match Servers.state_of_replies ~replies with
      | Some state -> Servers.Replies { carried = replies; state }
      | None ->
         usage (f_"option --import-replies needs --requests-state, unless its \
                   FILE has the name of the requests with .replies behind it"))
  | None, None, Some _ ->
     usage (f_"option --requests-state needs --export-requests or \
               --import-replies")
  | None, None, None -> Servers.Online

let settings ~force t =
  let s = t.so_far in
  if s.key <> None && s.cert = None then
    usage (f_"option --tang-key needs --tang-cert");
  (* Whoever gives it wants a server to see it. *)
  if s.cert <> None && s.allow = [] && s.map = [] then
    usage (f_"option --tang-cert needs --tang-allow or --tang-map: it is only \
              shown to servers that these name");
  if s.proxy <> None && s.no_proxy then
    usage (f_"option --tang-proxy cannot be combined with --no-proxy");
  let way = way ~force t in
  if s.keydir <> None && way <> Servers.Online then
    usage (f_"option --tang-keydir cannot be combined with \
              --export-requests or --import-replies");
  { s with
    allow = List.rev s.allow;
    map = List.rev s.map;
    resolve = List.rev s.resolve;
    way }
