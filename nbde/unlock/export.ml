(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --export-requests: the first step of an exchange in two.
 *)

open Printf

open Gettext
open Types

type summary = {
  lines : string list;
  errors : (string * string option) list;
  status : int;
}

let requests_text n = sprintf (fn_ "%d request" "%d requests" n) n
let devices_text n = sprintf (fn_ "%d LUKS device" "%d LUKS devices" n) n

(* A leaf without an error was not needed any more when its request had been
 * collected, or needs no server.
 *)
let collected (leaf : Clevis.Exchange.leaf) =
  match leaf.error with
  | None | Some { code = Cancelled; _ } -> true
  | Some _ -> false

(* Would the replies open it? *)
let is_enough (device : device) (result : Clevis.Exchange.result) =
  match result.status with
  | Unlocked _ | Unbound -> true
  | Failed _ ->
     let leaf token (pin : Clevis.Luks.pin) =
       List.exists (fun (leaf : Clevis.Exchange.leaf) ->
         leaf.token = token && leaf.pin = pin.path && collected leaf)
         result.leaves in
     List.exists (fun (token, pin) -> Pintree.suffices (leaf token) pin)
       (Pintree.roots device)

(* Everything but that the requests were collected. *)
let failures device (result : Clevis.Exchange.result) =
  match result.status with
  | Failed errors when not (is_enough device result) ->
     List.filter (fun (error : Clevis.error) -> error.code <> Cancelled) errors
     |> List.map (fun (error : Clevis.error) -> error.line, error.hint)
  | Failed _ | Unlocked _ | Unbound -> []

let release (result : Clevis.Exchange.result) =
  match result.status with
  | Unlocked { key; _ } -> Clevis.Key.release key
  | Failed _ | Unbound -> ()

let collect policy findings =
  let devices = List.map (fun outcome -> outcome.device) findings.outcomes in
  let results =
    Clevis.Exchange.run ~tick:Signals.check policy
      (List.map (fun device -> device.luks) devices) in
  List.iter release results;
  let bound = List.filter is_bound devices in
  let n = Clevis.Policy.nr_requests policy in
  let all_enough = List.for_all2 is_enough devices results in
  let status =
    if not all_enough || findings.refused <> [] then 2
    else if bound = [] then 3
    else 0 in
  { lines = [sprintf (f_"%s for %s") (requests_text n)
               (devices_text (List.length bound))];
    errors = List.concat (List.map2 failures devices results);
    status }

let write policy ~replace ~requests ~state =
  New_file.write_all ~replace ~check:Signals.check
    [state, Clevis.Policy.dump_state policy ~name:state;
     requests, Clevis.Policy.dump_requests policy ~name:requests]
