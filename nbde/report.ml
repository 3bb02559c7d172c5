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
    | Failed _ -> s_"failed"
    | Untried | Unbound -> s_"no Clevis binding" in
  sprintf "%s %s: %s" device.name device.info.uuid text

let check_lines { outcomes; refused } =
  let refused_line (refused : refused) =
    sprintf (f_"%s: not usable: %s") refused.name refused.error.message in
  List.map Escape.text
    (List.map check_line outcomes @ List.map refused_line refused)

let failures_of { device; state } =
  match state with
  | Failed [_summary; error] -> [error.line, error.hint]
  | Failed errors ->
     List.map (fun (error : Clevis.error) -> error.line, error.hint) errors
  | Not_opened { reason; _ } ->
     [sprintf (f_"%s: the key is right, but the device could not be opened: \
                  %s") device.name reason,
      Some (s_"If memory is short: --list shows what the keyslots take, \
               --memsize gives the appliance more.")]
  | Untried | Unbound | Recovered _ | Opened _ -> []

let has_binding { outcomes; _ } =
  List.exists (fun outcome -> is_bound outcome.device) outcomes

let failures findings =
  if findings.outcomes = [] && findings.refused = [] then
    [s_"no LUKS device was found", None]
  else if not (has_binding findings) then
    [s_"no LUKS device has a Clevis binding", None]
  else List.concat_map failures_of findings.outcomes

let unbound findings =
  let line outcome =
    match outcome.state with
    | Unbound when has_binding findings ->
       Some (sprintf (f_"%s: no Clevis binding, left closed")
               outcome.device.name)
    | Untried | Unbound | Failed _ | Recovered _ | Opened _ | Not_opened _ ->
       None in
  List.filter_map line findings.outcomes

type verdict =
  | Fine
  | Later                       (* no server could be reached *)
  | Bad

let verdict outcome =
  match outcome.state with
  | Untried | Unbound | Recovered _ | Opened _ -> Fine
  | Not_opened _ -> Bad
  | Failed ({ code = Unreachable; _ } :: _) -> Later
  | Failed _ -> Bad

(* A header that cannot be read may have had a binding, so it counts as a
 * device that was not unlocked, but not when devices were only looked at.
 *)
let refused_verdicts { outcomes; refused } =
  let untried outcome =
    match outcome.state with
    | Untried -> true
    | Unbound | Failed _ | Recovered _ | Opened _ | Not_opened _ -> false in
  if refused = [] || (outcomes <> [] && List.for_all untried outcomes) then []
  else [Bad]

let exit_status findings =
  let verdicts =
    List.map verdict findings.outcomes @ refused_verdicts findings in
  if List.mem Bad verdicts then 2
  else if List.mem Later verdicts then 4
  else if not (has_binding findings) then 3
  else 0
