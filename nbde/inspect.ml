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
  fstype : string;
  size : int64 option;
}

type operating_system = {
  root : string;
  product : string option;
  version : string option;
  arch : string option;
  distro : string option;
  hostname : string option;
  package_format : string option;
  filesystems : filesystem list;
}

type t = {
  systems : operating_system list;
  loose : filesystem list;
}

(* What libguestfs cannot tell is not an error. *)
let known f =
  match f () with
  | "unknown" | "" -> None
  | text -> Some text
  | exception Guestfs.Error _ -> None

let size_of (g : Guestfs.guestfs) mountable =
  try Some (g#blockdev_getsize64 (g#mountable_device mountable))
  with Guestfs.Error _ -> None

let filesystem (g : Guestfs.guestfs) ?mountpoint device =
  let fstype = known (fun () -> g#vfs_type device) in
  { mountpoint; device; fstype = Option.value fstype ~default:(s_"unknown");
    size = size_of g device }

let version (g : Guestfs.guestfs) root =
  match g#inspect_get_major_version root, g#inspect_get_minor_version root with
  | 0, 0 -> None
  | major, minor -> Some (sprintf "%d.%d" major minor)
  | exception Guestfs.Error _ -> None

let operating_system (g : Guestfs.guestfs) root =
  let mountpoints =
    List.sort compare (g#inspect_get_mountpoints root) in
  { root;
    product = known (fun () -> g#inspect_get_product_name root);
    version = version g root;
    arch = known (fun () -> g#inspect_get_arch root);
    distro = known (fun () -> g#inspect_get_distro root);
    hostname = known (fun () -> g#inspect_get_hostname root);
    package_format = known (fun () -> g#inspect_get_package_format root);
    filesystems =
      List.map (fun (mountpoint, device) -> filesystem g ~mountpoint device)
        mountpoints }

(* Where no operating system says what belongs where. *)
let loose_filesystems (g : Guestfs.guestfs) =
  let shown (_, fstype) =
    not (List.mem fstype ["unknown"; "crypto_LUKS"; "LVM2_member"]) in
  List.map (fun (device, _) -> filesystem g device)
    (List.filter shown (g#list_filesystems ()))

let inspect (g : Guestfs.guestfs) =
  match Array.to_list (g#inspect_os ()) with
  | [] -> { systems = []; loose = loose_filesystems g }
  | roots -> { systems = List.map (operating_system g) roots; loose = [] }

let gather (g : Guestfs.guestfs) ~partial =
  Messages.message (f_"Inspecting the guest");
  Timing.step Inspect @@ fun () ->
  let t =
    try inspect g
    with Guestfs.Error message when partial ->
      Signals.check ();
      Messages.warning (f_"what was opened cannot be inspected: %s")
        (Appliance.first_line message);
      { systems = []; loose = [] } in
  (* Is it the guest that does not say, or an appliance that has died? *)
  g#ping_daemon ();
  t

let filesystem_row { mountpoint; device; fstype; size } =
  Option.to_list mountpoint
  @ [device; fstype; Option.fold ~none:"" ~some:Humansize.bytes size]

(* A title and the facts below it that are known. *)
let block title facts =
  let row (name, value) = Option.map (fun value -> [name; value]) value in
  title :: Table.lines ~indent:2 (List.filter_map row facts)

let system_lines system =
  block (sprintf (f_"Operating system on %s") system.root) [
    s_"Product:", system.product;
    s_"Version:", system.version;
    s_"Architecture:", system.arch;
    s_"Distribution:", system.distro;
    s_"Hostname:", system.hostname;
    s_"Package format:", system.package_format;
  ]
  @ [s_"  Filesystems:"]
  @ Table.lines ~indent:4 (List.map filesystem_row system.filesystems)

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
