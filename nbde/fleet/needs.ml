(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Which servers a guest needs.
 *)

type pin =
  | Server of string
  | Some_of of int * pin list
  | Known                       (* needs nobody *)
  | Unanswered                  (* by this host *)

(* For each device its bindings, of which one suffices. *)
type t = pin list list

let none = []

let rec pin_of json =
  match Json.member "pin" json, Json.member "url" json with
  | String "tang", String url -> Server url
  | String "null", _ -> Known
  | String "sss", _ ->
     let threshold =
       match Json.member "threshold" json with
       | Int n -> Int64.to_int n
       | _ -> 1 in
     Some_of (threshold,
              List.map pin_of (Json.elements (Json.member "children" json)))
  | _ -> Unanswered

let of_document document =
  let binding token =
    match Json.member "pin" token, Json.member "stale" token with
    | Null, _ | _, String _ -> None
    | pin, _ -> Some (pin_of pin) in
  let device json =
    List.filter_map binding
      (Json.elements (Json.member "tokens" (Json.member "luks" json))) in
  List.filter (( <> ) [])
    (List.map device (Json.elements (Json.member "devices" document)))

let rec named = function
  | Server url -> [url]
  | Some_of (_, pins) -> List.concat_map named pins
  | Known | Unanswered -> []

let servers t =
  List.sort_uniq String.compare (List.concat_map (List.concat_map named) t)

let rec opens ~down = function
  | Server url -> not (down url)
  | Known -> true
  | Unanswered -> false
  | Some_of (threshold, pins) ->
     List.length (List.filter (opens ~down) pins) >= threshold

let hangs_on t ~down =
  let all_up _ = false in
  let waits bindings =
    List.exists (opens ~down:all_up) bindings
    && not (List.exists (opens ~down) bindings) in
  match List.find_opt waits t with
  | Some bindings -> List.find_opt down (List.concat_map named bindings)
  | None -> None

type evidence = {
  reached : string list;
  unreachable : string list;
}

(* An answer that is an error is an answer. *)
let of_error json =
  match Json.member "url" json, Json.member "code" json with
  | String url, String "unreachable" -> [], [url]
  | String url, String ("http" | "no-key" | "reply") -> [url], []
  | _ -> [], []

let rec of_preflight json =
  let below = List.map of_preflight (Json.elements (Json.member "children" json)) in
  let own =
    match Json.member "url" json, Json.member "preflight" json with
    | String url, (Dict _ as preflight) ->
       (match Json.member "error" preflight with
        | Null -> [url], []
        | error when Json.member "code" error = String "unreachable" ->
           [], [url]
        | _ -> [], [])
    | _ -> [], [] in
  let reached, unreachable = List.split (own :: below) in
  List.concat reached, List.concat unreachable

let of_device json =
  let by = Json.elements (Json.member "servers" (Json.member "unlocked_by" json)) in
  let url = function
    | Json.String url -> [url]
    | _ -> [] in
  let tokens = Json.elements (Json.member "tokens" (Json.member "luks" json)) in
  (List.concat_map url by, [])
  :: List.map of_error (Json.elements (Json.member "errors" json))
  @ List.map (fun token -> of_preflight (Json.member "pin" token)) tokens

let evidence document =
  let found =
    List.concat_map of_device (Json.elements (Json.member "devices" document)) in
  let reached, unreachable = List.split found in
  let once lists = List.sort_uniq String.compare (List.concat lists) in
  let reached = once reached in
  { reached;
    unreachable = List.filter (fun url -> not (List.mem url reached))
                    (once unreachable) }
