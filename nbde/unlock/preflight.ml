(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --preflight: would the guest's devices open, and what is missing?
 *)

open Gettext
open Types

type checked = {
  device : device;
  result : Clevis.Preflight.result;
}

type t = {
  checked : checked list;
  refused : refused list;
}

let make (findings : findings) results =
  let check (outcome : outcome) result = { device = outcome.device; result } in
  { checked = List.map2 check findings.outcomes results;
    refused = findings.refused }

let run ~probe policy findings =
  Messages.message (f_"Asking the servers what they have");
  let lukses =
    List.map (fun (outcome : outcome) -> outcome.device.luks)
      findings.outcomes in
  make findings
    (Clevis.Preflight.run ~tick:Signals.check ~probe policy lukses)

let result (device : device) { checked; _ } =
  List.find_opt (fun c -> c.device.name = device.name) checked
  |> Option.map (fun c -> c.result)

let leaf (result : Clevis.Preflight.result) ~token (pin : Clevis.Luks.pin) =
  List.find_opt (fun (leaf : Clevis.Preflight.leaf) ->
    leaf.token = token && leaf.pin = pin.path) result.leaves

let leaf_works (leaf : Clevis.Preflight.leaf) =
  match leaf.key with
  | Advertised | Rotated | Local -> true
  | Unknown | Unadvertised | Gone -> false

(* It would perhaps work a moment later. *)
let leaf_may_work (leaf : Clevis.Preflight.leaf) =
  leaf_works leaf
  || match leaf.key, leaf.error with
     | Unknown, Some { code = Unreachable; _ } -> true
     | _, _ -> false

let suffices judge { result; _ } token pin =
  let leaf pin =
    Option.fold ~none:false ~some:judge (leaf result ~token pin) in
  Pintree.suffices leaf pin

let works = suffices leaf_works

type outlook = Fine | Later | Bad

let outlook checked =
  match checked.result.verdict with
  | Opens | No_spare | Unbound -> Fine
  | Closed ->
     let may_open (token, pin) =
       suffices leaf_may_work checked token pin in
     if List.exists may_open (Pintree.roots checked.device) then Later
     else Bad

let exit_status { checked; refused } =
  let outlooks = List.map outlook checked in
  if refused <> [] || List.mem Bad outlooks then 2
  else if List.mem Later outlooks then 4
  else if not (List.exists (fun { device; _ } -> is_bound device) checked)
  then 3
  else 0
