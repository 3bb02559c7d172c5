(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Find the LUKS devices of a guest.
 *)

module Names = Set.Make (String)

(* Everything that was looked at, and in which order the devices came last. *)
type seen = {
  looked : Names.t;
  listed : string list;
  hardware : Block_devices.hardware option;
  lvm : bool; (* some device was a physical volume of LVM *)
}

let nothing =
  { looked = Names.empty; listed = []; hardware = None; lvm = false }

let was_seen seen name = Names.mem name seen.looked

let in_order seen = seen.listed

(* Logical volumes are asked for only where there is a physical one: LVM takes
 * long to start in the appliance.
 *)
let scan g headers ~opened seen =
  Timing.step Discover @@ fun () ->
  let is_new (_, name) = not (was_seen seen name) in
  let look_at candidates =
    let unseen = List.filter is_new candidates in
    unseen, List.map (Headers.read g headers) unseen in
  let hardware = Block_devices.hardware g seen.hardware in
  let outer = Block_devices.of_hardware hardware in
  let mapped = Block_devices.mapped opened in
  let unseen_outer, found_outer = look_at outer in
  let unseen_mapped, found_mapped = look_at mapped in
  let volume = List.mem Headers.Physical_volume (found_outer @ found_mapped) in
  let lvm = seen.lvm || volume in
  let volumes =
    if lvm then
      Block_devices.logical_volumes g ~rescan:(volume && opened <> [])
    else [] in
  let unseen_volumes, found_volumes = look_at volumes in
  let found = found_outer @ found_volumes @ found_mapped in
  let devices =
    List.filter_map (function Headers.Luks d -> Some d | _ -> None) found in
  let refused =
    List.filter_map (function Headers.Refused r -> Some r | _ -> None) found in
  let names = List.map snd in
  let looked_at = names (unseen_outer @ unseen_volumes @ unseen_mapped) in
  let seen = {
    looked = Names.union seen.looked (Names.of_list looked_at);
    listed = names (outer @ volumes @ mapped);
    hardware = Some hardware;
    lvm;
  } in
  devices, refused, seen
