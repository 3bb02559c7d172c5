(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Find the LUKS devices of a guest.
 *)

open Gettext
open Types

module Names = Set.Make (String)

type seen = Names.t

let nothing = Names.empty

let logical_volumes (g : Guestfs.guestfs) =
  if g#feature_available [| "lvm2" |] then Array.to_list (g#lvs ()) else []

(* A disk that has partitions holds no LUKS header of its own, though an old
 * one may not have been overwritten in full.
 *)
let candidates (g : Guestfs.guestfs) =
  (* Asked first, since that waits until udev has made all devices. *)
  let partitions = Array.to_list (g#list_partitions ()) in
  let partitioned = Names.of_list (List.map g#part_to_dev partitions) in
  let whole names =
    List.filter (fun name -> not (Names.mem name partitioned))
      (Array.to_list names) in
  List.concat [
    List.map (fun name -> Whole_disk, name) (whole (g#list_devices ()));
    List.map (fun name -> Partition, name) partitions;
    List.map (fun name -> Md_array, name) (whole (g#list_md_devices ()));
    List.map (fun name -> Logical_volume, name) (logical_volumes g);
    List.map (fun name -> Mapped, name)
      (Array.to_list (g#list_dm_devices ()));
  ]

let names g = List.map snd (candidates g)

(* The header, or None if the device is not LUKS. *)
let read_header (g : Guestfs.guestfs) kind name =
  let size = g#blockdev_getsize64 name in
  let luks = Clevis.Luks.create ~device:name ~size in
  let rec loop () =
    match Clevis.Luks.next luks with
    | Not_luks -> None
    | Ready -> Some { name; kind; size; luks; info = Clevis.Luks.info luks }
    | Need { offset; length } ->
       Messages.debug "%s: reading %d bytes at %Ld" name length offset;
       Clevis.Luks.supply luks ~offset (g#pread_device name length offset);
       loop () in
  loop ()

type looked =
  | Luks of device
  | Refused of refused
  | Other

let look (g : Guestfs.guestfs) (kind, name) =
  Signals.check ();
  match read_header g kind name with
  | Some device ->
     let note note = Messages.warning "%s: %s" name note in
     Option.iter note device.info.note;
     Luks device
  | None -> Other
  | exception Clevis.Error error ->
     Messages.warning "%s" error.line;
     Option.iter (Messages.hint "%s") error.hint;
     Refused { name; kind; error }
  | exception Guestfs.Error message ->
     (* Is it the device or the appliance? *)
     g#ping_daemon ();
     Messages.warning (f_"%s: cannot be read: %s") name
       (Appliance.first_line message);
     Other

let scan g seen =
  let unseen =
    List.filter (fun (_, name) -> not (Names.mem name seen)) (candidates g) in
  let looked = List.map (look g) unseen in
  let devices =
    List.filter_map (function Luks d -> Some d | _ -> None) looked in
  let refused =
    List.filter_map (function Refused r -> Some r | _ -> None) looked in
  devices, refused, Names.union seen (Names.of_list (List.map snd unseen))
