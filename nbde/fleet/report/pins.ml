(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Trees of pins, as documents have them, and what servers said of their keys.
 *)

open Gettext

type key = { server : string; url : string; kid : string }

type t =
  | Tang of key
  | Sss of { threshold : int; children : t list }
  | Own
  | Unusable

type state = Advertised | Rotated | Unadvertised | Gone | Unknown | Not_asked

let states = [Gone; Rotated; Unadvertised; Unknown; Not_asked; Advertised]

let state_name = function
  | Advertised -> "advertised"
  | Rotated -> "rotated"
  | Unadvertised -> "unadvertised"
  | Gone -> "gone"
  | Unknown -> "unknown"
  | Not_asked -> "not-asked"

let state_text = function
  | Advertised -> s_"advertised"
  | Rotated -> s_"rotated"
  | Unadvertised -> s_"not advertised"
  | Gone -> s_"gone"
  | Unknown -> s_"no answer"
  | Not_asked -> s_"not asked"

let is_old = function
  | Rotated | Unadvertised | Gone -> true
  | Advertised | Unknown | Not_asked -> false

type trouble = { line : string; cause : string; hint : string option }

type said = {
  state : state;
  trouble : trouble option;
  address : string option;
  expiry : string option;
  signed : bool;
}

(* Errors name a device, a URL and a reason; a disk may make each of them long. *)
let longest_text = 2000

let text = function
  | Json.String s when String.length s > longest_text ->
     Some (String.sub s 0 longest_text ^ "...")
  | Json.String s -> Some s
  | Null | Bool _ | Int _ | Float _ | List _ | Dict _ -> None

let index_of_any characters s =
  let rec find i =
    if i >= String.length s then String.length s
    else if String.contains characters s.[i] then i
    else find (i + 1) in
  find 0

let after n s = String.sub s n (String.length s - n)

let without_suffix suffix s =
  if String.ends_with ~suffix s then
    String.sub s 0 (String.length s - String.length suffix)
  else s

let rec without_slash s =
  if String.ends_with ~suffix:"/" s then without_slash (without_suffix "/" s)
  else s

(* Names and passwords are for the server, not for readers of the report. *)
let without_user authority =
  match String.rindex_opt authority '@' with
  | Some i -> after (i + 1) authority
  | None -> authority

let scheme_of url =
  match Str.search_forward (Str.regexp_string "://") url 0 with
  | i -> String.lowercase_ascii (String.sub url 0 i), after (i + 3) url
  | exception Not_found -> "http", url

let normal_url url =
  let scheme, rest = scheme_of url in
  let end_of_host = index_of_any "/?#" rest in
  let host =
    String.lowercase_ascii (without_user (String.sub rest 0 end_of_host)) in
  let port = if scheme = "https" then ":443" else ":80" in
  let server = scheme ^ "://" ^ without_suffix port host in
  server, server ^ without_slash (after end_of_host rest)

let plain line = { line; cause = line; hint = None }

(* For how long a run with --tang-share asks no server again, and the file by which:
 * that was over long before anybody reads the report.
 *)
let is_of_the_moment hint =
  match Str.search_forward (Str.regexp "/servers/[0-9a-f]+/down-") hint 0 with
  | (_ : int) -> true
  | exception Not_found -> false

let trouble ~message json =
  let field name = text (Json.member name json) in
  let hint =
    Option.bind (field "hint") (fun hint ->
      if is_of_the_moment hint then None else Some hint) in
  (* How a server was not reached is different for each guest. *)
  let cause line =
    match field "url", field "message", field "code" with
    | Some url, _, Some "unreachable" ->
       Printf.sprintf (f_"%s could not be reached") (snd (normal_url url))
    | Some url, Some message, _ ->
       Printf.sprintf "%s: %s" (snd (normal_url url)) message
    | None, Some message, _ -> message
    | _, None, _ -> line in
  let make line = { line; cause = cause line; hint } in
  Option.map make (field message)

let key_of ~keep json =
  match text (Json.member "url" json), text (Json.member "kid" json) with
  | Some url, Some kid ->
     let server, url = normal_url url in
     Some { server = keep server; url = keep url; kid = keep kid }
  | _, _ -> None

(* What this host cannot answer, such as a TPM, the guest can. *)
let is_the_guests json =
  let error = Json.member "error" json in
  error = Json.Null || Json.member "code" error = Json.String "unsupported"

(* jansson has limited the depth. *)
let rec of_json ~keep json =
  match Json.member "pin" json with
  | String "sss" ->
     (match Json.member "error" json, Json.member "threshold" json with
      | Null, Int threshold when threshold > 0L && threshold < 1_000L ->
         Sss { threshold = Int64.to_int threshold;
               children =
                 List.map (of_json ~keep)
                   (Json.elements (Json.member "children" json)) }
      | _, _ -> Unusable)
  | String "tang" ->
     (match Json.member "error" json, key_of ~keep json with
      | Null, Some key -> Tang key
      | _, _ -> Unusable)
  | String _ when is_the_guests json -> Own
  | _ -> Unusable

let state_of = function
  | Some "advertised" -> Advertised
  | Some "rotated" -> Rotated
  | Some "unadvertised" -> Unadvertised
  | Some "gone" -> Gone
  (* Answered from a folder of keys: no server was asked. *)
  | Some "local" -> Not_asked
  | Some _ | None -> Unknown

(* Was there an advertisement whose signatures are not good? *)
let is_unsigned state ~address json =
  let advertised =
    match state with
    | Advertised | Rotated -> true
    | Unadvertised | Gone -> address <> None
    | Unknown | Not_asked -> false in
  advertised && Json.member "signatures" json <> Bool true

let said_of ~keep json =
  let kept name = Option.map keep (text (Json.member name json)) in
  let error = trouble ~message:"line" (Json.member "error" json) in
  let state = state_of (text (Json.member "key" json)) in
  let address = kept "address" in
  { state; address;
    trouble = error;
    expiry = kept "certificate_expiry";
    signed = not (is_unsigned state ~address json) }

let rec answers ~keep json =
  let own =
    match Json.member "preflight" json, key_of ~keep json with
    | (Dict _ as said), Some key -> [key, said_of ~keep said]
    | _, _ -> [] in
  own @ List.concat_map (answers ~keep) (Json.elements (Json.member "children" json))

let rec errors json =
  Option.to_list (trouble ~message:"line" (Json.member "error" json))
  @ List.concat_map errors (Json.elements (Json.member "children" json))

let rec keys = function
  | Tang key -> [key]
  | Sss { children; _ } -> List.concat_map keys children
  | Own | Unusable -> []

let rec suffices there = function
  | Tang key -> there key
  | Sss { threshold; children } ->
     List.length (List.filter (suffices there) children) >= threshold
  | Own -> true
  | Unusable -> false
