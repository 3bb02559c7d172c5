(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --inspect: ask libguestfs which operating systems are inside, and what is
 * where.
 *)

open Printf

open Gettext

type filesystem = {
  mountpoint : string option;
  device : string;
  inspected_as : string;
  fstype : string option;
  size : int64 option;
  label : string option;
  uuid : string option;
}

type operating_system = {
  root : string;
  kind : string option;
  arch : string option;
  distro : string option;
  product : string option;
  product_variant : string option;
  major : int;
  minor : int;
  package_format : string option;
  package_management : string option;
  windows_systemroot : string option;
  windows_current_control_set : string option;
  hostname : string option;
  osinfo : string option;
  filesystems : filesystem list;
  volumes : filesystem list;
  drive_mappings : (string * string) list;
  applications : Guestfs.application2 list option;
  icon : string option;
}

type t = {
  systems : operating_system list;
  loose : filesystem list;
}

type wanted = {
  details : bool;
  applications : bool;
  icon : bool;
}

(* What libguestfs cannot tell is not an error. *)
let unless_error ~default f = try f () with Guestfs.Error _ -> default

let text_unless word f =
  match unless_error ~default:word f with
  | text when text = word -> None
  | text -> Some text

let known f = text_unless "unknown" f
let filled f = text_unless "" f

let canonical (g : Guestfs.guestfs) device =
  unless_error ~default:device (fun () -> g#canonical_device_name device)

(* Only a subvolume is not named as its device.  To ask for a size takes a program
 * in the appliance.
 *)
let size_of (g : Guestfs.guestfs) { Types.sizes; _ } mountable =
  unless_error ~default:None (fun () ->
    let device =
      if String.starts_with ~prefix:"/dev/" mountable then mountable
      else g#mountable_device mountable in
    match List.assoc_opt (canonical g device) sizes with
    | Some size -> Some size
    | None -> Some (g#blockdev_getsize64 device))

(* Whose label and UUID libguestfs takes from blkid, which is then asked once,
 * not for each by itself.  It writes special characters of a label in a way of
 * its own.
 *)
let plain_types = ["ext2"; "ext3"; "ext4"; "xfs"; "vfat"; "swap"]

let is_plain_character = function
  | 'a'..'z' | 'A'..'Z' | '0'..'9' | '.' | '_' | '-' | ':' -> true
  | _ -> false

let tags (g : Guestfs.guestfs) device =
  let tags = unless_error ~default:[] (fun () -> g#blkid device) in
  let is_plain name =
    String.for_all is_plain_character
      (Option.value (List.assoc_opt name tags) ~default:"") in
  match List.assoc_opt "TYPE" tags with
  | Some fstype when List.mem fstype plain_types
                     && is_plain "LABEL" && is_plain "UUID" -> tags
  | _ -> []

let filesystem (g : Guestfs.guestfs) findings ~details ?fstype device =
  let tags = if details then tags g device else [] in
  let detail name f =
    if not details then None
    else if tags = [] then filled f
    else List.assoc_opt name tags in
  let device' = canonical g device in
  { mountpoint = None;
    device = device';
    inspected_as = device';
    fstype =
      (match fstype, List.assoc_opt "TYPE" tags with
       | Some fstype, _ | None, Some fstype -> Some fstype
       | None, None -> filled (fun () -> g#vfs_type device));
    size = size_of g findings device;
    label = detail "LABEL" (fun () -> g#vfs_label device);
    uuid = detail "UUID" (fun () -> g#vfs_uuid device) }

(* What is mounted on a device is asked once, however often it occurs. *)
let remembering f =
  let table = Hashtbl.create 8 in
  fun key ->
    match Hashtbl.find_opt table key with
    | Some value -> value
    | None ->
       let value = f key in
       Hashtbl.add table key value;
       value

(* What is read from files of the guest, which may not be as they should. *)
let from_files (g : Guestfs.guestfs) findings wanted root =
  let { applications; icon; _ } = wanted in
  let attempt what ~default f =
    try f ()
    with Guestfs.Error message ->
      Signals.check ();
      Messages.warning "%s: %s: %s" root what (Guestfs_error.line message);
      default in
  let list () = Array.to_list (g#inspect_list_applications2 root) in
  let read () =
    match g#inspect_get_icon ~favicon:false root with
    | "" -> None
    | png -> Some png in
  let look () =
    Filesystems.mount_what_can_be g (Filesystems.places g findings root);
    let found =
      (if applications then
         Some (attempt (s_"applications cannot be listed") ~default:[] list)
       else None),
      (if icon then attempt (s_"the icon cannot be read") ~default:None read
       else None) in
    g#umount_all ();
    found in
  let nothing = (if applications then Some [] else None), None in
  if applications || icon then
    attempt (s_"the guest cannot be mounted") ~default:nothing look
  else nothing

(* What libguestfs takes from fstab may be a name of the guest's crypttab, which no
 * device has here.
 *)
let mounted g findings root volume mountpoints =
  let places = lazy (Filesystems.places g findings root) in
  let place mountpoint { Filesystems.mountpoint = at; _ } = at = mountpoint in
  let filesystem (mountpoint, name) =
    let found = volume name in
    let found =
      if found.size <> None then found
      else
        match List.find_opt (place mountpoint) (Lazy.force places) with
        | Some { device; _ } when device <> name ->
           { (volume device) with inspected_as = found.inspected_as }
        | Some _ | None -> found in
    { found with mountpoint = Some mountpoint } in
  List.map filesystem mountpoints

(* libguestfs gives these for Windows only. *)
let of_windows kind ~default f =
  if kind = Some "windows" then unless_error ~default f else default

let operating_system (g : Guestfs.guestfs) findings wanted root =
  let { details; _ } = wanted in
  let detail f = if details then known f else None in
  let kind = detail (fun () -> g#inspect_get_type root) in
  let windows f = of_windows kind ~default:None (fun () -> Some (f root)) in
  let volume = remembering (fun device -> filesystem g findings ~details device) in
  let mountpoints = List.sort compare (g#inspect_get_mountpoints root) in
  let by_letter (a, _) (b, _) =
    compare (String.lowercase_ascii a) (String.lowercase_ascii b) in
  let applications, icon = from_files g findings wanted root in
  { root = canonical g root;
    kind;
    arch = known (fun () -> g#inspect_get_arch root);
    distro = known (fun () -> g#inspect_get_distro root);
    product = known (fun () -> g#inspect_get_product_name root);
    product_variant = detail (fun () -> g#inspect_get_product_variant root);
    major =
      unless_error ~default:0 (fun () -> g#inspect_get_major_version root);
    minor =
      unless_error ~default:0 (fun () -> g#inspect_get_minor_version root);
    package_format = known (fun () -> g#inspect_get_package_format root);
    package_management =
      detail (fun () -> g#inspect_get_package_management root);
    windows_systemroot = windows g#inspect_get_windows_systemroot;
    windows_current_control_set =
      windows g#inspect_get_windows_current_control_set;
    hostname = known (fun () -> g#inspect_get_hostname root);
    osinfo = detail (fun () -> g#inspect_get_osinfo root);
    filesystems = mounted g findings root volume mountpoints;
    volumes =
      if details then
        List.map volume
          (List.sort compare (Array.to_list (g#inspect_get_filesystems root)))
      else [];
    drive_mappings =
      List.map (fun (letter, device) -> letter, canonical g device)
        (List.stable_sort by_letter
           (of_windows kind ~default:[] (fun () ->
              g#inspect_get_drive_mappings root)));
    applications;
    icon }

(* Where no operating system says what belongs where. *)
let loose_filesystems (g : Guestfs.guestfs) findings { details; _ } =
  List.map (fun (device, fstype) ->
    filesystem g findings ~details ~fstype device)
    (Filesystems.all g)

let inspect (g : Guestfs.guestfs) findings wanted =
  match Array.to_list (g#inspect_os ()) with
  | [] -> { systems = []; loose = loose_filesystems g findings wanted }
  | roots ->
     { systems = List.map (operating_system g findings wanted) roots;
       loose = [] }

let gather (g : Guestfs.guestfs) findings wanted ~partial =
  Messages.message (f_"Inspecting the guest");
  Timing.step Inspect @@ fun () ->
  let t =
    try inspect g findings wanted
    with Guestfs.Error message when partial ->
      Signals.check ();
      Messages.warning (f_"what was opened cannot be inspected: %s")
        (Guestfs_error.line message);
      { systems = []; loose = [] } in
  (* Is it the guest that does not say, or an appliance that has died? *)
  g#ping_daemon ();
  t

let version { major; minor; _ } =
  if major = 0 && minor = 0 then None
  else Some (sprintf "%d.%d" major minor)
