(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Which parts of a tree of pins suffice.
 *)

let rec suffices leaf (pin : Clevis.Luks.pin) =
  match pin.children with
  | _ when pin.unusable <> None -> false
  | [] -> leaf pin
  | children ->
     List.length (List.filter (suffices leaf) children) >= pin.threshold

let roots (device : Types.device) =
  let root (token : Clevis.Luks.token) =
    match token.pin, token.stale with
    | Some pin, None -> Some (token.id, pin)
    | Some _, Some _ | None, _ -> None in
  List.filter_map root device.info.tokens
