(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What earlier runs have left for this one.
 *)

(* A disk that was changed since may have another header.  Seconds are exact
 * enough.  Of a domain nothing is known.
 *)
let is_fresh (guest : Guest.t) (summary : Record.summary) =
  let unchanged { Guest.path; _ } =
    match Unix.stat path with
    | { st_mtime; _ } -> Record.time st_mtime <= summary.started
    | exception Unix.Unix_error _ -> Guest.is_uri path in
  List.for_all unchanged guest.disks

(* Somebody may have taken the keys away, or bound the guest anew.  What a command has
 * done it may have done to the disk.
 *)
let still_holds command action guest (s : Record.summary) =
  match s.verdict, action with
  | Verdict.Done, Guest.Keys ->
     is_fresh guest s && Sys.file_exists (Command.keys_file command guest)
  | Unbound, _ -> is_fresh guest s
  | _ -> true

let same command state action (guest : Guest.t) =
  let asked = Command.asked command action in
  Option.bind (State.record state guest.name action)
    (Record.read ~same:(Some (guest, asked)))

let record command state action guest =
  match same command state action guest with
  | Some summary as found when still_holds command action guest summary ->
     found
  | Some _ | None -> None

let may_replace (command : Command.settings) state (guest : Guest.t) =
  let file = Command.keys_file command guest in
  let place =
    try Unix.realpath (Filename.dirname file) ^ "/" ^ guest.name
    with Unix.Unix_error _ -> file in
  command.own_keys
  || State.is_place_of_keys state guest.name place
  || (if not (Sys.file_exists file) then
        State.note_place_of_keys state guest.name place;
      false)

(* It may mean other servers by their names. *)
let has_own_servers (guest : Guest.t) = guest.options <> []

let needs command state action guest =
  match action with
  | _ when has_own_servers guest -> Some Needs.none
  | Guest.List -> Some Needs.none
  | Preflight | Keys | Run ->
     match record command state Guest.List guest with
     | Some s when s.document <> Json.Null && guest.Guest.domain = None
                   && is_fresh guest s ->
        Some (Needs.of_document s.document)
     | Some _ | None -> None
