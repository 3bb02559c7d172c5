(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The argument of -a: a file name or a URI.
 * Source: RFC 3986; guestfish(1) ADDING REMOTE STORAGE.
 *)

open Gettext
open Types

(* The two sides of the first place where separator stands. *)
let cut separator s =
  match String.index_opt s separator with
  | None -> None
  | Some i ->
     Some (String.sub s 0 i, String.sub s (i + 1) (String.length s - i - 1))

let scheme_char = function
  | 'a'..'z' | 'A'..'Z' | '0'..'9' | '+' | '-' | '.' -> true
  | _ -> false

(* "SCHEME://REST" *)
let split_scheme s =
  match cut ':' s with
  | Some (scheme, rest)
       when scheme <> "" && String.for_all scheme_char scheme
            && String.starts_with ~prefix:"//" rest ->
     Some (String.lowercase_ascii scheme,
           String.sub rest 2 (String.length rest - 2))
  | Some _ | None -> None

let percent_decode uri s =
  let decode_byte hex =
    let valid = String.for_all (function
      | '0'..'9' | 'a'..'f' | 'A'..'F' -> true
      | _ -> false) hex in
    if not valid then
      Failure.error (f_"%s: '%%' is not followed by two digits") uri;
    Char.chr (int_of_string ("0x" ^ hex)) in
  let buf = Buffer.create (String.length s) in
  let rec loop i =
    if i < String.length s then
      if s.[i] <> '%' then (
        Buffer.add_char buf s.[i];
        loop (i + 1)
      )
      else if i + 2 >= String.length s then
        Failure.error (f_"%s: '%%' is not followed by two digits") uri
      else (
        Buffer.add_char buf (decode_byte (String.sub s (i + 1) 2));
        loop (i + 3)
      ) in
  loop 0;
  let decoded = Buffer.contents buf in
  if String.contains decoded '\000' then
    Failure.error (f_"%s: a NUL byte cannot be used") uri;
  decoded

type parts = {
  uri : string;                 (* for messages *)
  username : string option;
  password : string option;
  host : string;                (* with the port *)
  path : string;                (* decoded, with the slash *)
  query : string option;        (* as it stands *)
}

let some_decoded uri s = Some (percent_decode uri s)

let split_user uri authority =
  match String.rindex_opt authority '@' with
  | None -> None, None, authority
  | Some i ->
     let user = String.sub authority 0 i in
     let host =
       String.sub authority (i + 1) (String.length authority - i - 1) in
     match cut ':' user with
     | None -> some_decoded uri user, None, host
     | Some (user, password) ->
        some_decoded uri user, some_decoded uri password, host

let check_port uri host =
  let port =
    match String.rindex_opt host ']' with
    | Some i -> cut ':' (String.sub host i (String.length host - i))
    | None -> cut ':' host in
  match port with
  | None -> ()
  | Some (_, port) ->
     match Options.integer ~least:1 ~greatest:65535 port with
     | (_ : int) -> ()
     | exception Options.Invalid reason ->
        Failure.error (f_"%s: port '%s': %s") uri port reason

let split_parts uri rest =
  let rest, query =
    match cut '?' rest with
    | None -> rest, None
    | Some (rest, query) -> rest, Some query in
  let authority, path =
    match cut '/' rest with
    | None -> rest, ""
    | Some (authority, path) -> authority, "/" ^ path in
  let username, password, host = split_user uri authority in
  check_port uri host;
  { uri; username; password; host; path = percent_decode uri path; query }

let without_slash path =
  if path = "" then "" else String.sub path 1 (String.length path - 1)

let remote protocol parts path =
  if parts.host = "" then Failure.error (f_"%s: no host is given") parts.uri;
  Remote {
    protocol;
    server = parts.host;
    username = parts.username;
    password = parts.password;
    path;
  }

let with_path parts =
  if parts.path = "" || parts.path = "/" then
    Failure.error (f_"%s: no path is given") parts.uri;
  parts.path

(* libguestfs would take a query of http for a part of the path. *)
let no_query parts =
  if parts.query <> None then
    Failure.error (f_"%s: '?' cannot be used with this scheme") parts.uri

let nbd_unix parts =
  let fields =
    match parts.query with
    | None -> []
    | Some query ->
       List.filter_map (cut '=') (String.split_on_char '&' query) in
  match List.assoc_opt "socket" fields with
  | None | Some "" ->
     Failure.error (f_"%s: no '?socket=PATH' is given") parts.uri
  | Some _ when parts.host <> "" ->
     Failure.error (f_"%s: a host cannot be used with this scheme") parts.uri
  | Some socket ->
     Remote {
       protocol = "nbd";
       server = "unix:" ^ percent_decode parts.uri socket;
       username = None;
       password = None;
       path = without_slash parts.path;
     }

let parse uri =
  match split_scheme uri with
  | None -> File uri
  | Some (scheme, rest) ->
     let parts = split_parts uri rest in
     match scheme with
     | "file" ->
        if parts.host <> "" && parts.host <> "localhost" then
          Failure.error (f_"%s: a host cannot be used with this scheme") uri;
        File (with_path parts)
     | "nbd" ->
        no_query parts;
        remote "nbd" parts (without_slash parts.path)
     | "nbd+unix" -> nbd_unix parts
     | "ssh" | "http" | "https" ->
        no_query parts;
        remote scheme parts (with_path parts)
     | _ ->
        Failure.error
          (f_"%s: the scheme is none of file, nbd, nbd+unix, ssh, http, https")
          uri
