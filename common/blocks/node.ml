(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Block nodes of qemu.
 *)

open Printf

type place =
  | Local of { file : string; block_device : bool }
  | Server of Json.t

let local { Chain.file; block_device; _ } = Local { file; block_device }

let string text = Json.String text

let file_node ~block_device ~locking file =
  let driver = if block_device then "host_device" else "file" in
  Json.Dict (
    ["driver", string driver; "filename", string file]
    @ if locking then [] else ["locking", string "off"])

let node driver ~file rest =
  Json.Dict (["driver", string driver; "file", file] @ rest)

let overlay_file file =
  node "qcow2" ~file:(file_node ~block_device:false ~locking:true file) []

(* A raw image has no such thing, and does not take the option in every
 * version.
 *)
let image ?backing format place =
  let file =
    match place with
    | Local { file; block_device } ->
       file_node ~block_device ~locking:false file
    | Server node -> node in
  let backing = Option.value backing ~default:Json.Null in
  node (Image_format.name format) ~file
    (if format = Image_format.Raw then [] else ["backing", backing])

let text node = "json:" ^ Json.to_string node

let longest = 1023

(* "HOST:PORT" *)
let split_server server =
  let after =
    Option.value (String.rindex_opt server ']') ~default:0 in
  match String.rindex_from_opt server (String.length server - 1) ':' with
  | Some colon when colon > after ->
     String.sub server 0 colon,
     Some (String.sub server (colon + 1) (String.length server - colon - 1))
  | Some _ | None -> server, None

let without_brackets host =
  let length = String.length host in
  if length > 2 && host.[0] = '[' && host.[length - 1] = ']' then
    String.sub host 1 (length - 2)
  else host

(* qemu wants a port. *)
let host_and_port server ~port =
  let host, given = split_server server in
  without_brackets host, Option.value given ~default:port

let inet ~host ~port rest =
  Json.Dict (rest @ ["host", string host; "port", string port])

let unreserved = function
  | 'a'..'z' | 'A'..'Z' | '0'..'9' | '-' | '.' | '_' | '~' -> true
  | _ -> false

let percent_encode text =
  let encode c =
    if unreserved c then String.make 1 c else sprintf "%%%02X" (Char.code c) in
  String.concat "" (List.map encode (List.of_seq (String.to_seq text)))

let percent_encode_path path =
  String.concat "/" (List.map percent_encode (String.split_on_char '/' path))

let uri ~scheme ~server ~user ~path =
  let user =
    match user with
    | None -> ""
    | Some (user, None) -> percent_encode user ^ "@"
    | Some (user, Some password) ->
       sprintf "%s:%s@" (percent_encode user) (percent_encode password) in
  sprintf "%s://%s%s%s" scheme user server (percent_encode_path path)

let unix_prefix = "unix:"

type nbd_address =
  | Socket of string
  | Host of { host : string; port : string }

let nbd_address server =
  if String.starts_with ~prefix:unix_prefix server then
    let skip = String.length unix_prefix in
    Socket (String.sub server skip (String.length server - skip))
  else
    let host, port = host_and_port server ~port:"10809" in
    Host { host; port }

let nbd_names server =
  match nbd_address server with
  | Socket path ->
     Json.Dict ["type", string "unix"; "path", string path],
     fun export ->
       sprintf "nbd+unix:///%s?socket=%s" (percent_encode export)
         (percent_encode_path path)
  | Host { host; port } ->
     inet ~host ~port ["type", string "inet"],
     fun export -> uri ~scheme:"nbd" ~server ~user:None ~path:("/" ^ export)

let nbd ~server ~export =
  let address, uri = nbd_names server in
  Json.Dict (
    ["driver", string "nbd"; "server", address]
    @ if export = "" then [] else ["export", string export]),
  uri export

let ssh ~server ~user ~path =
  let host, port = host_and_port server ~port:"22" in
  Json.Dict (
    ["driver", string "ssh"; "server", inet ~host ~port [];
     "path", string path]
    @ Option.fold ~none:[] ~some:(fun (user, _) -> ["user", string user]) user),
  uri ~scheme:"ssh" ~server ~user ~path

let http ~scheme ~server ~user ~path =
  let url = uri ~scheme ~server ~user ~path in
  Json.Dict ["driver", string scheme; "url", string url], url
