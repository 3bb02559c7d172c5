(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What came of it: the lines of --check, the failures, the exit status.
 *)

open Printf

open Gettext
open Types

let unlocked_line (unlocked : Clevis.Exchange.unlocked) =
  let servers =
    match unlocked.servers with
    | [] -> s_"no server"
    | servers -> String.concat " " servers in
  sprintf (f_"token %d, keyslot %d, %s, %.2f s") unlocked.token
    unlocked.keyslot servers unlocked.seconds

let check_line { device; state } =
  let text =
    match state with
    | Recovered unlocked | Opened { unlocked; _ } -> unlocked_line unlocked
    | Not_opened { unlocked; _ } ->
       sprintf (f_"%s, not opened") (unlocked_line unlocked)
    | Opened_otherwise { opener = Given_key _; _ } -> s_"opened by a given key"
    | Opened_otherwise { opener = Clevis_in_appliance; _ } ->
       s_"opened by clevis in the appliance"
    | Wrong_key _ -> s_"no given key fits"
    | Failed _ | Failed_in_appliance _ -> s_"failed"
    | Untried | Unbound -> s_"no Clevis binding" in
  sprintf "%s %s: %s" device.name device.info.uuid text

let check_lines { outcomes; refused; _ } =
  List.map Escape.text
    (List.map check_line outcomes @ List.map Listing.refused_line refused)

let binding_failures = function
  | [_summary; (error : Clevis.error)] -> [error.line, error.hint]
  | errors ->
     List.map (fun (error : Clevis.error) -> error.line, error.hint) errors

let failures_of { device; state } =
  match state with
  | Failed errors -> binding_failures errors
  | Not_opened { reason; hint; _ } ->
     [sprintf (f_"%s: the key is right, but the device could not be opened: \
                  %s") device.name reason, hint]
  | Failed_in_appliance { reason } ->
     [sprintf "%s: %s" device.name reason, None]
  | Wrong_key { reason; binding } ->
     binding_failures binding
     @ [sprintf (f_"%s: no key that was given opens it: %s") device.name reason,
        None]
  | Untried | Unbound | Recovered _ | Opened _ | Opened_otherwise _ -> []

(* Was there anything to be done? *)
let has_way { outcomes; _ } =
  let has_way outcome =
    match outcome.state with
    | Opened_otherwise _ | Wrong_key _ -> true
    | Untried | Unbound | Failed _ | Recovered _ | Opened _ | Not_opened _
    | Failed_in_appliance _ -> is_bound outcome.device in
  List.exists has_way outcomes

let failures findings =
  if findings.outcomes = [] && findings.refused = [] then
    [s_"no LUKS device was found", None]
  else if not (has_way findings) then
    [(if findings.refused = [] then s_"no LUKS device has a Clevis binding"
      else s_"no LUKS device that could be read has a Clevis binding"), None]
  else List.concat_map failures_of findings.outcomes

(* Errors of the leaves of pin trees: those with the path of a pin and the
 * server.
 *)
let leaf_errors { state; _ } =
  match state with
  | Failed errors ->
     List.filter (fun (error : Clevis.error) ->
       error.pin <> None && error.url <> None) errors
  | _ -> []

let common_reasons findings =
  let messages =
    List.concat_map leaf_errors findings.outcomes
    |> List.map (fun (error : Clevis.error) -> error.message) in
  let line message =
    let n = List.length (List.filter (String.equal message) messages) in
    if n < 2 then None
    else
      Some (sprintf (fn_ "%d request failed for the same reason: %s"
                       "%d requests failed for the same reason: %s" n)
              n message) in
  List.filter_map line (List.sort_uniq compare messages)

let unbound findings =
  let line outcome =
    match outcome.state with
    | Unbound when has_way findings ->
       Some (sprintf (f_"%s: no Clevis binding, left closed")
               outcome.device.name)
    | Untried | Unbound | Failed _ | Recovered _ | Opened _ | Not_opened _
    | Opened_otherwise _ | Failed_in_appliance _ | Wrong_key _ -> None in
  List.filter_map line findings.outcomes

type verdict =
  | Fine
  | Later                       (* no server could be reached *)
  | Bad
  | Wrong                       (* what the user gave *)

let verdict outcome =
  match outcome.state with
  | Untried | Unbound | Recovered _ | Opened _ | Opened_otherwise _ -> Fine
  | Wrong_key _ -> Wrong
  | Not_opened _ | Failed_in_appliance _ -> Bad
  | Failed ({ code = Unreachable; _ } :: _) -> Later
  | Failed _ -> Bad

(* A header that cannot be read may have had a binding, so it counts as a
 * device that was not unlocked, but not when devices were only looked at.
 *)
let refused_verdicts { outcomes; refused; _ } =
  let untried outcome =
    match outcome.state with
    | Untried -> true
    | Unbound | Failed _ | Recovered _ | Opened _ | Not_opened _
    | Opened_otherwise _ | Failed_in_appliance _ | Wrong_key _ -> false in
  if refused = [] || (outcomes <> [] && List.for_all untried outcomes) then []
  else [Bad]

let exit_status findings =
  let verdicts =
    List.map verdict findings.outcomes @ refused_verdicts findings in
  if List.mem Wrong verdicts then 1
  else if List.mem Bad verdicts then 2
  else if List.mem Later verdicts then 4
  else if has_way findings then 0
  (* What could not be read may have a binding. *)
  else if findings.refused <> [] then 2
  else 3
