(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --list: what the LUKS headers say.
 *)

open Printf

open Gettext
open Types

let cipher (info : Clevis.Luks.info) =
  sprintf (f_"%s, %d-bit key, %d-byte sectors") info.cipher
    (8 * info.key_size) info.sector_size

let iterations_text n = sprintf (fn_ "%d iteration" "%d iterations" n) n
let threads_text n = sprintf (fn_ "%d thread" "%d threads" n) n

(* What the key derivation of a keyslot costs. *)
let cost (keyslot : Clevis.Luks.keyslot) =
  let iterations = iterations_text keyslot.iterations in
  match keyslot.hash with
  | Some hash -> sprintf "%s, %s" hash iterations
  | None ->
     sprintf "%s, %s, %s"
       (Humansize.bytes (Int64.mul 1024L (Int64.of_int keyslot.memory)))
       iterations (threads_text keyslot.threads)

let keyslot_row (keyslot : Clevis.Luks.keyslot) =
  [string_of_int keyslot.slot; keyslot.kdf; cost keyslot; keyslot.cipher]

(* What is unusual about a keyslot. *)
let keyslot_remarks (keyslot : Clevis.Luks.keyslot) =
  match keyslot.refused, keyslot.priority with
  | Some reason, _ -> [sprintf (f_"never used: %s") reason]
  | None, "normal" -> []
  | None, priority -> [sprintf (f_"priority: %s") priority]

let keyslot_lines keyslots =
  let rows = Table.lines (List.map keyslot_row keyslots) in
  let lines row keyslot =
    row :: List.map (Lines.indent 3) (keyslot_remarks keyslot) in
  List.concat (List.map2 lines rows keyslots)

let pin_head (pin : Clevis.Luks.pin) =
  if pin.children <> [] then
    sprintf (f_"%s, %d of %d") pin.name pin.threshold (List.length pin.children)
  else
    match pin.url with
    | Some url -> sprintf "%s %s" pin.name url
    | None -> pin.name

let pin_details (pin : Clevis.Luks.pin) =
  let key kid =
    let about = List.filter_map Fun.id [pin.thp_alg; pin.curve] in
    if about = [] then kid
    else sprintf "%s (%s)" kid (String.concat ", " about) in
  List.concat [
    Option.to_list (Option.map (fun kid -> "kid: " ^ key kid) pin.kid);
    List.map (fun (name, value) -> sprintf "%s: %s" name value) pin.params;
    Option.to_list (Option.map (sprintf (f_"warning: %s")) pin.warning);
    Option.to_list
      (Option.map (fun (error : Clevis.error) ->
         sprintf (f_"cannot be used: %s") error.message) pin.unusable);
  ]

let rec pin_lines (pin : Clevis.Luks.pin) =
  pin_head pin
  :: List.map (Lines.indent 2)
       (pin_details pin @ List.concat_map pin_lines pin.children)

let keyslots_text = function
  | [] -> s_"no keyslot"
  | [slot] -> sprintf (f_"keyslot %d") slot
  | slots ->
     sprintf (f_"keyslots %s")
       (String.concat ", " (List.map string_of_int slots))

let token_lines (token : Clevis.Luks.token) =
  let head =
    sprintf "%d  %s, %s" token.id token.kind (keyslots_text token.keyslots) in
  let details =
    List.concat [
      Option.to_list (Option.map (sprintf (f_"not usable: %s")) token.stale);
      Option.to_list
        (Option.map (fun (error : Clevis.error) ->
           sprintf (f_"cannot be read: %s") error.message) token.broken);
      Option.fold ~none:[] ~some:pin_lines token.pin;
    ] in
  head :: List.map (Lines.indent 3) details

let section title = function
  | [] -> [sprintf (f_"%s none") title]
  | lines -> title :: List.map (Lines.indent 2) lines

let device_lines { device = { name; size; info; detached; _ }; _ } =
  let facts =
    [ [s_"UUID:"; info.uuid] ]
    @ (if info.label = "" then [] else [ [s_"Label:"; info.label] ])
    @ [ [s_"Cipher:"; cipher info] ]
    @ Option.to_list
        (Option.map (fun file -> [s_"Header:"; file]) detached)
    @ Option.to_list (Option.map (fun note -> [s_"Note:"; note]) info.note) in
  let keyslots = keyslot_lines info.keyslots in
  let tokens = List.concat_map token_lines info.tokens in
  sprintf "%s: LUKS%d, %s" name info.version (Humansize.bytes size)
  :: List.map (Lines.indent 2)
       (Table.lines facts
        @ section (s_"Keyslots:") keyslots
        @ section (s_"Tokens:") tokens)

let refused_line (refused : refused) =
  sprintf (f_"%s: not usable: %s") refused.name refused.error.message

(* A line that is too long goes on below, further in. *)
let fitted line =
  if Escape.width line <= Lines.width then [line]
  else (
    let text = String.trim line in
    let rec spaces i = if line.[i] = ' ' then spaces (i + 1) else i in
    let n = spaces 0 in
    match Wrap.lines ~width:(max 20 (Lines.width - n - 2)) text with
    | [] -> [line]
    | first :: rest ->
       Lines.indent n first :: List.map (Lines.indent (n + 2)) rest
  )

let lines { outcomes; refused; _ } =
  let blocks =
    List.map device_lines outcomes
    @ List.map (fun refused -> [refused_line refused]) refused in
  List.concat_map (fun line -> fitted (Escape.text line))
    (Lines.blocks blocks)
