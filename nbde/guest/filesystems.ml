(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Which filesystems of a guest belong where.
 *
 * libguestfs follows the guest's fstab as far as that names filesystems by
 * UUID, label, partition or logical volume, but knows an opened LUKS device
 * only by the name that we gave it.  The name that the guest gives it, such as
 * /dev/mapper/sda2_crypt, is explained by the guest's crypttab.
 *)

open Printf

open Gettext
open Types

type place = {
  device : string;
  mountpoint : string;
  options : string option;
  fstype : string option;
  optional : bool;
}

let is_absolute path = String.starts_with ~prefix:"/" path

(* A subvolume of btrfs is written with colons: btrfsvol:/dev/sda2/root. *)
let subvolume = "btrfsvol"

let by_hand text =
  let fields =
    match String.split_on_char ':' text with
    | prefix :: device :: others when prefix = subvolume ->
       (prefix ^ ":" ^ device) :: others
    | fields -> fields in
  let filled = function "" -> None | text -> Some text in
  let place device mountpoint options fstype =
    if device = "" then raise (Options.Invalid (s_"names no device"));
    let mountpoint = if mountpoint = "" then "/" else mountpoint in
    if not (is_absolute mountpoint) then
      raise (Options.Invalid (s_"the place to mount must begin with '/'"));
    { device; mountpoint; options = filled options; fstype = filled fstype;
      optional = false } in
  match fields with
  | [device] -> place device "" "" ""
  | [device; mountpoint] -> place device mountpoint "" ""
  | [device; mountpoint; options] -> place device mountpoint options ""
  | [device; mountpoint; options; fstype] ->
     place device mountpoint options fstype
  | _ ->
     raise (Options.Invalid (s_"is not DEV[:MOUNTPOINT[:OPTIONS[:FSTYPE]]]"))

let exists (g : Guestfs.guestfs) device =
  match g#vfs_type device with
  | (_ : string) -> true
  | exception Guestfs.Error _ -> false

(* The configuration of the guest. *)

(* Nothing that an administrator wrote is longer. *)
let longest_file = 1_048_576L

let fields line =
  let blank = Str.regexp "[ \t]+" in
  match Str.split blank line with
  | first :: _ when String.starts_with ~prefix:"#" first -> []
  | fields -> fields

let lines_of (g : Guestfs.guestfs) file =
  try
    if g#is_file ~followsymlinks:true file && g#filesize file <= longest_file
    then Array.to_list (g#read_lines file)
    else []
  with Guestfs.Error _ -> []

let crypttab_source lines name =
  let source line =
    match fields line with
    | name' :: source :: _ when name' = name -> Some source
    | _ -> None in
  List.find_map source lines

(* "/home" is optional if the guest boots without it. *)
let is_optional fstab mountpoint =
  let says line =
    match fields line with
    | _ :: place :: _ :: options :: _ when place = mountpoint ->
       let options = String.split_on_char ',' options in
       List.mem "nofail" options || List.mem "noauto" options
    | _ -> false in
  List.exists says fstab

type configuration = {
  fstab : string list;
  crypttab : string list;
}

let no_configuration = { fstab = []; crypttab = [] }

let configuration (g : Guestfs.guestfs) root =
  match g#mount_ro root "/" with
  | () ->
     let fstab = lines_of g "/etc/fstab" in
     let crypttab = lines_of g "/etc/crypttab" in
     g#umount_all ();
     { fstab; crypttab }
  | exception Guestfs.Error _ -> no_configuration

(* LUKS devices that were opened, by the names that the guest has for them. *)

let mapper = "/dev/mapper/"

let after prefix text =
  if String.starts_with ~prefix text then
    let n = String.length prefix in
    Some (String.sub text n (String.length text - n))
  else None

let opened { outcomes; _ } =
  let name (outcome : outcome) =
    Option.map (fun mapname -> outcome.device, mapper ^ mapname)
      (mapname outcome) in
  List.filter_map name outcomes

let partition_uuid (g : Guestfs.guestfs) device =
  try
    Some (g#part_get_gpt_guid (g#part_to_dev device)
            (g#part_to_partnum device))
  with Guestfs.Error _ -> None

(* /dev/vda2, /dev/mapper/vg-lv and the like, as the appliance calls them. *)
let canonical (g : Guestfs.guestfs) path =
  let try_name f = try Some (f path) with Guestfs.Error _ -> None in
  List.filter_map try_name [g#canonical_device_name; g#lvm_canonical_lv_name]

let same_uuid a b = String.lowercase_ascii a = String.lowercase_ascii b

(* Does a crypttab mean this device? *)
let is_meant g source (device : device) =
  let prefixed prefixes =
    List.find_map (fun prefix -> after prefix source) prefixes in
  match prefixed ["UUID="; "/dev/disk/by-uuid/"] with
  | Some uuid -> same_uuid uuid device.info.uuid
  | None ->
     match prefixed ["PARTUUID="; "/dev/disk/by-partuuid/"] with
     | Some uuid ->
        Option.fold ~none:false ~some:(same_uuid uuid)
          (partition_uuid g device.name)
     | None -> is_absolute source && List.mem device.name (canonical g source)

let mapped g findings { crypttab; _ } device =
  let ( let* ) = Option.bind in
  let* name = after mapper device in
  let* source = crypttab_source crypttab name in
  let meant (device, _) = is_meant g source device in
  Option.map snd (List.find_opt meant (opened findings))

(* What fstab mounts by the names of crypttab, should inspection pass it
 * over.
 *)
let by_crypttab { fstab; crypttab } =
  let place line =
    match fields line with
    | device :: mountpoint :: _ when is_absolute mountpoint ->
       let source =
         Option.bind (after mapper device) (crypttab_source crypttab) in
       Option.map (fun _ -> mountpoint, device) source
    | _ -> None in
  List.filter_map place fstab

let places (g : Guestfs.guestfs) findings root =
  let configuration = configuration g root in
  let inspected =
    List.filter (fun (mountpoint, _) -> is_absolute mountpoint)
      (g#inspect_get_mountpoints root) in
  let missing =
    List.filter
      (fun (mountpoint, _) -> not (List.mem_assoc mountpoint inspected))
      (by_crypttab configuration) in
  let place (mountpoint, device) =
    let device =
      if exists g device then device
      else
        Option.value (mapped g findings configuration device)
          ~default:device in
    { device; mountpoint; options = None; fstype = None;
      optional = is_optional configuration.fstab mountpoint } in
  (* Inspection has found the operating system there, whatever fstab says. *)
  let root_place =
    { device = root; mountpoint = "/"; options = None; fstype = None;
      optional = false } in
  let places = List.map place (inspected @ missing) in
  root_place :: List.filter (fun { mountpoint; _ } -> mountpoint <> "/") places

let choose = s_"Choose filesystems with -m DEVICE[:MOUNTPOINT]."

let all (g : Guestfs.guestfs) =
  List.filter (fun (_, fstype) ->
    not (List.mem fstype ["unknown"; "crypto_LUKS"; "LVM2_member"]))
    (g#list_filesystems ())

(* For messages. *)
let mountable g =
  let name (device, fstype) = sprintf "%s (%s)" device fstype in
  List.map name (List.filter (fun (_, fstype) -> fstype <> "swap") (all g))

(* --inspect may have found them before. *)
let roots (g : Guestfs.guestfs) =
  g#umount_all ();
  match g#inspect_get_roots () with
  | [| |] -> g#inspect_os ()
  | roots -> roots
  | exception Guestfs.Error _ -> g#inspect_os ()

let of_guest (g : Guestfs.guestfs) findings =
  match Array.to_list (roots g) with
  | [root] -> places g findings root
  | [] ->
     (match mountable g with
      | [] ->
         Failure.error (f_"there is no filesystem that could be mounted")
      | names ->
         Failure.error
           (f_"no operating system was found, so it is not known what to \
               mount: use -m with one or more of %s")
           (String.concat ", " names))
  | roots ->
     let name root =
       match g#inspect_get_product_name root with
       | "unknown" | "" -> root
       | product -> sprintf "%s (%s)" root product
       | exception Guestfs.Error _ -> root in
     Failure.error
       (f_"there are %d operating systems: use -m with the filesystems of one \
           of them, %s")
       (List.length roots) (String.concat ", " (List.map name roots))

(* In the appliance. *)

let mount_options ~writable options =
  String.concat ","
    (Option.to_list options @ (if writable then [] else ["ro"]))

let mount_one (g : Guestfs.guestfs) ~writable place =
  let { device; mountpoint; fstype; _ } = place in
  let options = mount_options ~writable place.options in
  Messages.debug "mounting %s on %s" device mountpoint;
  match fstype with
  | Some fstype -> g#mount_vfs options fstype device mountpoint
  | None -> g#mount_options options device mountpoint

let mount_each g ~writable places failed =
  let depth { mountpoint; _ } = String.length mountpoint in
  let places =
    List.stable_sort (fun a b -> compare (depth a) (depth b)) places in
  let mount_place place =
    Signals.check ();
    try mount_one g ~writable place
    with Guestfs.Error message ->
      Signals.check ();
      failed place (Guestfs_error.line message) in
  List.iter mount_place places

let mount (g : Guestfs.guestfs) ~writable places =
  mount_each g ~writable places
    (fun { device; mountpoint; optional; _ } reason ->
      if optional then
        Messages.warning (f_"%s is left out: %s cannot be mounted: %s")
          mountpoint device reason
      else (
        g#umount_all ();
        Failure.error ~hint:choose
          (f_"nothing was mounted, since %s cannot be mounted on %s: %s")
          device mountpoint reason
      ))

let mount_what_can_be g places =
  mount_each g ~writable:false places (fun { device; mountpoint; _ } reason ->
    Messages.warning (f_"%s cannot be mounted on %s: %s") device mountpoint
      reason)
