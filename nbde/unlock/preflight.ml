(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --preflight: would the guest's devices open, and what is missing?
 *)

open Printf

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

let find_leaf { result; _ } token pin = leaf result ~token pin

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

let suffices judge checked token pin =
  let leaf pin =
    Option.fold ~none:false ~some:judge (find_leaf checked token pin) in
  Pintree.suffices leaf pin

(* The text. *)

let width = 80

let indent n line = String.make n ' ' ^ line

(* Indented by n behind what is indented by column already. *)
let wrapped ?(column = 0) n text =
  List.map (indent n) (Wrap.lines ~width:(width - column - n) text)

let key_text (leaf : Clevis.Preflight.leaf) =
  match leaf.key, leaf.error with
  | Advertised, _ -> s_"key advertised"
  | Rotated, _ -> s_"key rotated (not advertised), but still answered with"
  | Unadvertised, Some { message; _ } ->
     sprintf (f_"key not advertised, and the server could not be asked \
                 whether it keeps it: %s") message
  | Unadvertised, None ->
     s_"key not advertised, and the server was not asked whether it keeps it"
  | Gone, _ -> s_"key gone"
  | Local, _ -> s_"no server needed"
  | Unknown, Some { message; _ } -> sprintf (f_"no answer: %s") message
  | Unknown, None -> s_"no answer"

let has_advertisement (leaf : Clevis.Preflight.leaf) =
  match leaf.key with
  | Advertised | Rotated -> true
  | Unadvertised | Gone -> leaf.address <> None
  | Unknown | Local -> false

(* What else is known of a server. *)
let facts (leaf : Clevis.Preflight.leaf) =
  let of_advertisement =
    if not (has_advertisement leaf) then []
    else [
      if leaf.signatures then s_"signatures good"
      else s_"SIGNATURES NOT GOOD";
      sprintf (f_"%.0f ms") (leaf.seconds *. 1000.);
    ] in
  let expiry = sprintf (f_"certificate valid until %s") in
  of_advertisement
  @ Option.to_list leaf.address
  @ Option.to_list (Option.map expiry leaf.certificate_expiry)

let pin_name (pin : Clevis.Luks.pin) =
  match pin.url with
  | Some url -> sprintf "%s %s" pin.name url
  | None -> pin.name

let leaf_lines checked token ~column (pin : Clevis.Luks.pin) =
  let said =
    match pin.unusable, find_leaf checked token pin with
    | Some { message; _ }, _ -> [sprintf (f_"cannot be used: %s") message]
    | None, None -> []
    | None, Some leaf ->
       [key_text leaf; String.concat ", " (facts leaf)] in
  pin_name pin
  :: List.concat_map (wrapped ~column 2) (List.filter (fun s -> s <> "") said)

let node_text checked token (pin : Clevis.Luks.pin) =
  let works = suffices leaf_works checked token in
  let n = List.length (List.filter works pin.children) in
  let needed =
    sprintf (f_"%s, %d of %d needed") pin.name pin.threshold
      (List.length pin.children) in
  let would = sprintf (fn_ "%d would answer" "%d would answer" n) n in
  sprintf "%s: %s" needed would

(* The depth of a tree is limited by the library. *)
let rec pin_lines checked token ~column (pin : Clevis.Luks.pin) =
  match pin.children with
  | [] -> leaf_lines checked token ~column pin
  | children ->
     let lines = pin_lines checked token ~column:(column + 2) in
     node_text checked token pin
     :: List.map (indent 2) (List.concat_map lines children)

let token_lines checked ~column (token, pin) =
  match pin_lines checked token ~column pin with
  | [] -> []
  | first :: rest -> sprintf (f_"token %d: %s") token first :: rest

(* How many more of an sss pin's children must work. *)
let missing_text checked (token, (pin : Clevis.Luks.pin)) =
  let works = suffices leaf_works checked token in
  match pin.children with
  | [] -> sprintf (f_"token %d needs its server") token
  | children ->
     let n = pin.threshold - List.length (List.filter works children) in
     sprintf (fn_ "token %d lacks %d answer" "token %d lacks %d answers" n)
       token n

let verdict_text checked =
  match checked.result.verdict with
  | Opens -> s_"opens"
  | No_spare -> s_"opens with nothing to spare: no server of it may fail"
  | Unbound -> s_"no Clevis binding"
  | Closed ->
     match Pintree.roots checked.device with
     | [] -> s_"does not open: no Clevis token can be used (see --list)"
     | roots ->
        sprintf (f_"does not open: %s")
          (String.concat (s_" and ") (List.map (missing_text checked) roots))

let device_lines checked =
  let { device; _ } = checked in
  sprintf "%s %s" device.name device.info.uuid
  :: (wrapped 2 (verdict_text checked)
      @ List.map (indent 2)
          (List.concat_map (token_lines checked ~column:2)
             (Pintree.roots device)))

let refused_lines (refused : refused) =
  refused.name
  :: wrapped 2 (sprintf (f_"not usable: %s") refused.error.message)

let lines { checked; refused } =
  let blocks =
    List.map device_lines checked @ List.map refused_lines refused in
  let separated i block = if i = 0 then block else "" :: block in
  List.map Escape.text (List.concat (List.mapi separated blocks))

(* The status. *)

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
