(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Keys that the user has: --key, --keys-from-stdin and the terminal.
 *)

open Gettext

type source =
  | Typed of string
  | In_file of string
  | By_clevis

type selector = {
  id : string;
  source : source;
}

(* What is wrong is said without the words, which may have a passphrase. *)
let malformed () =
  Options.usage
    (f_"option --key: a selector is ID:key:PASSPHRASE, ID:file:FILE or \
        ID:clevis")

let selector text =
  match String.split_on_char ':' text with
  | "" :: _ -> malformed ()
  | [id; "clevis"] -> { id; source = By_clevis }
  | id :: "key" :: (_ :: _ as rest) ->
     { id; source = Typed (String.concat ":" rest) }
  | id :: "file" :: (_ :: _ as rest) ->
     let file = String.concat ":" rest in
     if file = "" then malformed ();
     { id; source = In_file file }
  | _ -> malformed ()

type ask =
  | Terminal of { echo : bool }
  | Standard_input of { echo : bool }

type t = {
  keys : (string * Clevis.Key.t) list;
  ask : ask;
  mutable held : Clevis.Key.t list;
  mutable were_asked : bool;
}

let read_file file =
  try
    let fd = Unix.openfile file [Unix.O_RDONLY; Unix.O_CLOEXEC] 0 in
    Fun.protect ~finally:(fun () -> Unix.close fd) (fun () ->
      let key = Clevis.Key.read fd in
      Clevis.Key.chomp key;
      key)
  with
  | Unix.Unix_error (code, _, _) ->
     Failure.error (f_"key file %s: %s") file (Unix.error_message code)
  | Clevis.Error { message; _ } ->
     Failure.error (f_"key file %s: %s") file message

let load selectors ask =
  let key { id; source } =
    match source with
    | By_clevis -> None
    | Typed text -> Some (id, Clevis.Key.of_string text)
    | In_file file -> Some (id, read_file file) in
  { keys = List.filter_map key selectors; ask; held = [];
    were_asked = false }

let release { keys; _ } =
  List.iter (fun (_, key) -> Clevis.Key.release key) keys

let hold t key = t.held <- key :: t.held

let release_held t =
  List.iter Clevis.Key.release t.held;
  t.held <- []

let were_asked { were_asked; _ } = were_asked

(* "/dev/vda2" and "/dev/mapper/vg-lv" are names as well. *)
let canonical (g : Guestfs.guestfs) id =
  if String.starts_with ~prefix:"/dev/" id then
    try g#canonical_device_name id with Guestfs.Error _ -> id
  else id

let matches g (device : Types.device) id =
  id = "all" || id = device.name
  || String.lowercase_ascii id = String.lowercase_ascii device.info.uuid
  || canonical g id = device.name

let for_device g { keys; _ } device =
  List.filter_map
    (fun (id, key) -> if matches g device id then Some key else None) keys

let read_line ~echo =
  try Clevis.Key.read_line Unix.stdin ~echo
  with
  | Unix.Unix_error (code, _, _) ->
     Signals.check ();
     Failure.error (f_"standard input: %s") (Unix.error_message code)
  | Clevis.Error { message; _ } ->
     Failure.error (f_"standard input: %s") message

let prompt (device : Types.device) ~echo =
  Messages.prompt (f_"Key or passphrase of %s (UUID %s), empty to leave it \
                      closed: ") device.name device.info.uuid;
  match read_line ~echo with
  | Some key when Clevis.Key.length key = 0 ->
     Clevis.Key.release key;
     None
  | answer -> answer

let may_ask { ask; _ } =
  match ask with
  | Standard_input _ -> true
  | Terminal _ -> Unix.isatty Unix.stdin && Unix.isatty Unix.stderr

let ask t device =
  if not (may_ask t) then None
  else (
    t.were_asked <- true;
    match t.ask with
    | Standard_input { echo } -> read_line ~echo
    | Terminal { echo } -> prompt device ~echo
  )

(* The appliance knows more names of a device. *)
let may_match (device : Types.device) id =
  id = "all" || String.starts_with ~prefix:"/dev/" id
  || String.lowercase_ascii id = String.lowercase_ascii device.info.uuid

let may_have t device =
  may_ask t || List.exists (fun (id, _) -> may_match device id) t.keys
