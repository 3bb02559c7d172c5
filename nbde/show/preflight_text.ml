(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --preflight for people.
 *)

open Printf

open Gettext
open Types

(* Indented by n behind what is indented by column already. *)
let wrapped ?(column = 0) n text =
  List.map (Lines.indent n) (Wrap.lines ~width:(Lines.width - column - n) text)

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

let leaf_lines (checked : Preflight.checked) token ~column (pin : Clevis.Luks.pin) =
  let said =
    match pin.unusable, Preflight.leaf checked.result ~token pin with
    | Some { message; _ }, _ -> [sprintf (f_"cannot be used: %s") message]
    | None, None -> []
    | None, Some leaf ->
       [key_text leaf; String.concat ", " (facts leaf)] in
  pin_name pin
  :: List.concat_map (wrapped ~column 2) (List.filter (fun s -> s <> "") said)

let node_text checked token (pin : Clevis.Luks.pin) =
  let works = Preflight.works checked token in
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
     :: List.map (Lines.indent 2) (List.concat_map lines children)

let token_lines checked ~column (token, pin) =
  match pin_lines checked token ~column pin with
  | [] -> []
  | first :: rest -> sprintf (f_"token %d: %s") token first :: rest

(* How many more of an sss pin's children must work. *)
let missing_text checked (token, (pin : Clevis.Luks.pin)) =
  let works = Preflight.works checked token in
  match pin.children with
  | [] -> sprintf (f_"token %d needs its server") token
  | children ->
     let n = pin.threshold - List.length (List.filter works children) in
     sprintf (fn_ "token %d lacks %d answer" "token %d lacks %d answers" n)
       token n

let verdict_text (checked : Preflight.checked) =
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
  let { Preflight.device; _ } = checked in
  sprintf "%s %s" device.name device.info.uuid
  :: (wrapped 2 (verdict_text checked)
      @ List.map (Lines.indent 2)
          (List.concat_map (token_lines checked ~column:2)
             (Pintree.roots device)))

let refused_lines (refused : refused) =
  refused.name
  :: wrapped 2 (sprintf (f_"not usable: %s") refused.error.message)

let lines { Preflight.checked; refused } =
  List.map Escape.text
    (Lines.blocks
       (List.map device_lines checked @ List.map refused_lines refused))
