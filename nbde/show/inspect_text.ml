(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --inspect for people.
 *)

open Printf

open Gettext
open Types

let filesystem_row (filesystem : Inspect.filesystem) =
  let { Inspect.mountpoint; device; fstype; size; _ } = filesystem in
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

let system_lines (system : Inspect.operating_system) =
  block (sprintf (f_"Operating system on %s") system.root) [
    s_"Product:", system.product;
    s_"Version:", Inspect.version system;
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
       s_"Unlocked by:",
         Some (match opener with
               | Given_key _ -> s_"a given key"
               | Clevis_in_appliance -> s_"clevis in the appliance") ]
  | Not_opened { reason; _ } | Failed_in_appliance { reason } ->
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

let lines { Inspect.systems; loose } { outcomes; _ } =
  let systems =
    if systems = [] then [loose_lines loose]
    else List.map system_lines systems in
  List.map Escape.text
    (Lines.blocks (systems @ List.map device_lines outcomes))
