(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The block devices of the appliance that may be LUKS.
 *)

open Types

(* Block devices that are there without LVM and without an open LUKS device. *)
type hardware = {
  disks : string array;
  partitions : string list;
  arrays : string array;
}

let is_digit c = c >= '0' && c <= '9'

(* Is it a partition of this disk?  The kernel names them so; the appliance
 * would have to be asked for each.
 *)
let is_partition_of disk name =
  let last = disk.[String.length disk - 1] in
  let prefix = if is_digit last then disk ^ "p" else disk in
  let length = String.length prefix in
  String.starts_with ~prefix name
  && String.length name > length
  && String.for_all is_digit
       (String.sub name length (String.length name - length))

(* Disks do not come and go while the appliance runs, and partitions only with
 * the arrays that they are on.
 *)
let hardware (g : Guestfs.guestfs) = function
  | Some hardware when g#list_md_devices () = hardware.arrays -> hardware
  | Some _ | None ->
     (* Asked first, since that waits until udev has made all devices. *)
     let partitions = Array.to_list (g#list_partitions ()) in
     { partitions; disks = g#list_devices (); arrays = g#list_md_devices () }

let all kind = List.map (fun name -> kind, name)

(* A disk that has partitions holds no LUKS header of its own, though an old
 * one may not have been overwritten in full.
 *)
let of_hardware { disks; partitions; arrays } =
  let whole names =
    List.filter (fun disk ->
      not (List.exists (is_partition_of disk) partitions))
      (Array.to_list names) in
  List.concat [
    all Whole_disk (whole disks);
    all Partition partitions;
    all Md_array (whole arrays);
  ]

(* Of what is mapped, we know what we have opened; list_dm_devices would run lvs
 * for each.
 *)
let mapped opened =
  let names = List.map (fun name -> "/dev/mapper/" ^ name) opened in
  all Mapped (List.sort compare names)

let has_lvm (g : Guestfs.guestfs) = g#feature_available [| "lvm2" |]

(* Physical volumes that are there since something was opened are not known to
 * LVM yet.
 *)
let rescan g =
  if has_lvm g then Timing.step Rescan (fun () -> g#lvm_scan true)

let logical_volumes (g : Guestfs.guestfs) ~rescan:wanted =
  if has_lvm g then (
    if wanted then rescan g;
    all Logical_volume (Array.to_list (g#lvs ()))
  )
  else []
