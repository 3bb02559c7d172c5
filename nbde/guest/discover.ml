(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Find the LUKS devices of a guest.
 *)

open Gettext

module Names = Set.Make (String)

(* Everything that was looked at, and in which order the devices came last. *)
type seen = {
  looked : Names.t;
  unreadable : (string * string) list; (* of them, to be looked at again; why *)
  listed : (string * int64 option) list; (* with the size, if it is known *)
  hardware : Block_devices.hardware option;
  lvm : bool; (* some device was a physical volume of LVM *)
}

type found = {
  devices : Types.device list;
  refused : Types.refused list;
  new_volumes : bool;
  seen : seen;
}

let nothing =
  { looked = Names.empty; unreadable = []; listed = []; hardware = None;
    lvm = false }

let was_seen seen name = Names.mem name seen.looked

let in_order seen = List.map fst seen.listed

let sizes { listed; _ } =
  List.filter_map (fun (name, size) ->
    Option.map (fun size -> name, size) size) listed

let names = List.map snd

(* A logical volume may lack a part that is in a LUKS device. *)
let is_new seen name =
  not (was_seen seen name) || List.mem_assoc name seen.unreadable

let say_unreadable { unreadable; _ } =
  List.iter (fun (name, reason) ->
    Messages.warning (f_"%s: cannot be read: %s") name reason) unreadable

(* What comes of looking at these devices. *)
let found seen ~listed ~hardware ~lvm ~new_volumes results =
  let devices =
    List.filter_map (function _, Headers.Luks d -> Some d | _ -> None)
      results in
  let refused =
    List.filter_map (function _, Headers.Refused r -> Some r | _ -> None)
      results in
  let unreadable =
    List.filter_map (function
      | name, Headers.Bad_place reason -> Some (name, reason)
      | _ -> None) results in
  let seen = {
    looked = Names.union seen.looked (Names.of_list (List.map fst results));
    unreadable;
    listed;
    hardware;
    lvm;
  } in
  { devices; refused; new_volumes; seen }

let look_at reads headers seen candidates =
  let look (kind, name) =
    let result = Headers.read reads headers (kind, name) in
    Headers.say name result;
    name, result in
  List.map look (List.filter (fun (_, name) -> is_new seen name) candidates)

(* Logical volumes are asked for only where there is a physical one: LVM takes
 * long to start in the appliance.
 *)
let in_appliance g headers ~opened seen =
  Timing.step Discover @@ fun () ->
  let look_at = look_at (Appliance_reads.make g) headers seen in
  let hardware = Block_devices.hardware g seen.hardware in
  let outer = Block_devices.of_hardware hardware in
  let mapped = Block_devices.mapped opened in
  let found_outer = look_at outer in
  let found_mapped = look_at mapped in
  let is_volume (_, result) = result = Headers.Physical_volume in
  let volume = List.exists is_volume (found_outer @ found_mapped) in
  let lvm = seen.lvm || volume in
  let new_volumes = volume && opened <> [] in
  let volumes =
    if lvm then Block_devices.logical_volumes g ~rescan:new_volumes else [] in
  let found_volumes = look_at volumes in
  found seen
    ~listed:(List.map (fun name -> name, None)
               (names (outer @ volumes @ mapped)))
    ~hardware:(Some hardware) ~lvm ~new_volumes
    (found_outer @ found_volumes @ found_mapped)

let kind : Layout.kind -> Types.kind = function
  | Whole_disk -> Whole_disk
  | Partition -> Partition
  | Md_array -> Md_array
  | Logical_volume -> Logical_volume
  | Mapped -> Mapped

(* The array that has it is there as well, under another name. *)
let check_member name = function
  | Headers.Luks _ | Headers.Refused _ ->
     Drives.unsure
       (f_"%s: begins like a LUKS device, and is a member of an MD array") name
  | Headers.Physical_volume | Bad_place _ | Other -> Headers.Other

let look_here reads headers { Layout.block; kind = k; contents } =
  let name = block.Block.name in
  let read () = Headers.read reads headers (kind k, name) in
  match contents with
  | Missing ->
     Headers.Bad_place (s_"its volume group lacks a physical volume")
  | Md_member -> check_member name (read ())
  | Luks | Physical_volume | Other -> read ()

let name { Layout.block; _ } = block.Block.name

let name_and_size { Layout.block; _ } =
  block.Block.name, Some (Int64.of_int block.size)

let on_host host headers seen =
  Timing.step Discover @@ fun () ->
  let all = Host.devices host in
  let is_volume (device : Layout.device) = device.contents = Physical_volume in
  let unseen = List.filter (fun device -> is_new seen (name device)) all in
  let is_new_volume (device : Layout.device) =
    device.kind = Mapped && is_volume device in
  let results = List.map (look_here (Host.reads host) headers) unseen in
  (* Not before all is known: the appliance would say it again. *)
  List.iter2 (fun device -> Headers.say (name device)) unseen results;
  found seen ~listed:(List.map name_and_size all) ~hardware:None
    ~lvm:(List.exists is_volume all)
    ~new_volumes:(List.exists is_new_volume unseen)
    (List.combine (List.map name unseen) results)
