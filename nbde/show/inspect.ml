(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --inspect: which operating systems are inside, and what is where.
 *)

open Printf

open Gettext
open Types

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
let told ~default f = try f () with Guestfs.Error _ -> default

let known f =
  match told ~default:"unknown" f with
  | "unknown" -> None
  | text -> Some text

let given f =
  match told ~default:"" f with
  | "" -> None
  | text -> Some text

(* Only a subvolume is not named as its device. *)
let size_of (g : Guestfs.guestfs) mountable =
  told ~default:None (fun () ->
    let device =
      if String.starts_with ~prefix:"/dev/" mountable then mountable
      else g#mountable_device mountable in
    Some (g#blockdev_getsize64 device))

let canonical (g : Guestfs.guestfs) device =
  told ~default:device (fun () -> g#canonical_device_name device)

(* Whose label and UUID libguestfs takes from blkid, which is then asked once,
 * not for each by itself.  It writes special characters of a label in a way of
 * its own.
 *)
let plain_types = ["ext2"; "ext3"; "ext4"; "xfs"; "vfat"; "swap"]

let is_plain_character = function
  | 'a'..'z' | 'A'..'Z' | '0'..'9' | '.' | '_' | '-' | ':' -> true
  | _ -> false

let tags (g : Guestfs.guestfs) device =
  let tags = told ~default:[] (fun () -> g#blkid device) in
  let is_plain name =
    String.for_all is_plain_character
      (Option.value (List.assoc_opt name tags) ~default:"") in
  match List.assoc_opt "TYPE" tags with
  | Some fstype when List.mem fstype plain_types
                     && is_plain "LABEL" && is_plain "UUID" -> tags
  | _ -> []

let filesystem (g : Guestfs.guestfs) ~details ?fstype device =
  let tags = if details then tags g device else [] in
  let detail name f =
    if not details then None
    else if tags = [] then given f
    else List.assoc_opt name tags in
  let device' = canonical g device in
  { mountpoint = None;
    device = device';
    inspected_as = device';
    fstype =
      (match fstype, List.assoc_opt "TYPE" tags with
       | Some fstype, _ | None, Some fstype -> Some fstype
       | None, None -> given (fun () -> g#vfs_type device));
    size = size_of g device;
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

let is_windows kind = kind = Some "windows"

(* libguestfs gives these for Windows only. *)
let of_windows kind ~default f =
  if is_windows kind then told ~default f else default

let operating_system (g : Guestfs.guestfs) findings wanted root =
  let { details; _ } = wanted in
  let detail f = if details then known f else None in
  let kind = detail (fun () -> g#inspect_get_type root) in
  let windows f = of_windows kind ~default:None (fun () -> Some (f root)) in
  let volume = remembering (fun device -> filesystem g ~details device) in
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
    major = told ~default:0 (fun () -> g#inspect_get_major_version root);
    minor = told ~default:0 (fun () -> g#inspect_get_minor_version root);
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
let loose_filesystems (g : Guestfs.guestfs) { details; _ } =
  let shown (_, fstype) =
    not (List.mem fstype ["unknown"; "crypto_LUKS"; "LVM2_member"]) in
  List.map (fun (device, fstype) -> filesystem g ~details ~fstype device)
    (List.filter shown (g#list_filesystems ()))

let inspect (g : Guestfs.guestfs) findings wanted =
  match Array.to_list (g#inspect_os ()) with
  | [] -> { systems = []; loose = loose_filesystems g wanted }
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

let filesystem_row { mountpoint; device; fstype; size; _ } =
  Option.to_list mountpoint
  @ [device; Option.value fstype ~default:(s_"unknown");
     Option.fold ~none:"" ~some:Humansize.bytes size]

(* As package managers write it: EPOCH:VERSION-RELEASE. *)
let application_row (app : Guestfs.application2) =
  let epoch =
    if app.app2_epoch = 0l then "" else sprintf "%ld:" app.app2_epoch in
  let release =
    if app.app2_release = "" then "" else "-" ^ app.app2_release in
  let name =
    if app.app2_display_name = "" then app.app2_name
    else app.app2_display_name in
  [name; epoch ^ app.app2_version ^ release; app.app2_arch]

(* A title and the facts below it that are known. *)
let block title facts =
  let row (name, value) =
    match value with
    | None | Some "" -> None
    | Some value -> Some [name; value] in
  title :: Table.lines ~indent:2 (List.filter_map row facts)

let icon_size icon =
  sprintf "PNG, %s" (Humansize.bytes (Int64.of_int (String.length icon)))

let system_lines (system : operating_system) =
  block (sprintf (f_"Operating system on %s") system.root) [
    s_"Product:", system.product;
    s_"Version:", version system;
    s_"Architecture:", system.arch;
    s_"Distribution:", system.distro;
    s_"Hostname:", system.hostname;
    s_"Package format:", system.package_format;
    s_"Icon:", Option.map icon_size system.icon;
  ]
  @ [s_"  Filesystems:"]
  @ Table.lines ~indent:4 (List.map filesystem_row system.filesystems)
  @ (match system.applications with
     | None -> []
     | Some applications ->
        s_"  Applications:"
        :: Table.lines ~indent:4 (List.map application_row applications))

let loose_lines filesystems =
  s_"No operating system was found"
  :: (if filesystems = [] then []
      else
        s_"  Filesystems:"
        :: Table.lines ~indent:4 (List.map filesystem_row filesystems))

let state_facts = function
  | Opened { unlocked; mapname } ->
     [ s_"Opened as:", Some ("/dev/mapper/" ^ mapname);
       s_"Unlocked by:", Some (sprintf (f_"token %d, keyslot %d")
                                 unlocked.token unlocked.keyslot);
       s_"Server:", (match unlocked.servers with
                     | [] -> None
                     | servers -> Some (String.concat " " servers));
       s_"Exchange:", Some (sprintf (f_"%.2f s") unlocked.seconds) ]
  | Failed (error :: _) ->
     [s_"Not unlocked:", Some error.message]
  | Failed [] -> []
  | Opened_otherwise { opener; mapname } ->
     [ s_"Opened as:", Some ("/dev/mapper/" ^ mapname);
       s_"Unlocked by:", Some (match opener with
                               | Given_key _ -> s_"a given key"
                               | Clevis_inside -> s_"clevis in the appliance") ]
  | Not_opened { reason; _ } | Not_inside { reason } ->
     [s_"Not opened:", Some reason]
  | Wrong_key { reason; _ } -> [s_"Not unlocked:", Some reason]
  | Unbound -> [s_"Not unlocked:", Some (s_"no Clevis binding")]
  | Untried | Recovered _ -> []

let device_lines { Types.device = { name; size; info; _ }; state } =
  block (sprintf (f_"LUKS device %s") name)
    ([ s_"UUID:", Some info.uuid;
       s_"LUKS version:", Some (string_of_int info.version);
       s_"Size:", Some (Humansize.bytes size);
       s_"Cipher:", Some (sprintf (f_"%s, %d-bit key") info.cipher
                            (8 * info.key_size)) ]
     @ state_facts state)

let lines t { outcomes; _ } =
  let systems =
    if t.systems = [] then [loose_lines t.loose]
    else List.map system_lines t.systems in
  let blocks = systems @ List.map device_lines outcomes in
  let separated i block = if i = 0 then block else "" :: block in
  List.map Escape.text (List.concat (List.mapi separated blocks))
