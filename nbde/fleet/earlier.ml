(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What earlier runs have left for this one.
 *)

(* Somebody may have taken the keys away. *)
let still_holds command action guest (s : Record.summary) =
  action <> Guest.Keys || s.verdict <> Verdict.Done
  || Sys.file_exists (Command.keys_file command guest)

let record command state action (guest : Guest.t) =
  let asked = Command.asked command action in
  let same =
    Option.bind (State.record state guest.name action)
      (Record.read ~same:(Some (guest, asked))) in
  match same with
  | Some summary when still_holds command action guest summary -> same
  | Some _ | None -> None

(* A disk that was changed since may have another header.  All that depends on it
 * is when the guest is started, so seconds are exact enough.
 *)
let is_fresh (guest : Guest.t) (summary : Record.summary) =
  let unchanged { Guest.path; _ } =
    match Unix.stat path with
    | { st_mtime; _ } -> Record.time st_mtime <= summary.started
    | exception Unix.Unix_error _ -> Guest.is_uri path in
  guest.domain = None && List.for_all unchanged guest.disks

let needs command state action guest =
  match action with
  | Guest.List -> Some Needs.none
  | Preflight | Keys | Run ->
     match record command state Guest.List guest with
     | Some s when s.document <> Json.Null && is_fresh guest s ->
        Some (Needs.of_document s.document)
     | Some _ | None -> None
