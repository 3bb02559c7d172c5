(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What virt-inspector(1) writes.
 *)

open Xml

let parent name children = Element (name, [], children)
let leaf ?(attributes = []) name text =
  Element (name, attributes, [Text text])

let optional name = Option.map (leaf name)
let filled name text = if text = "" then None else Some (leaf name text)

let some = List.filter_map Fun.id

let mountpoint (f : Inspect.filesystem) =
  let at = leaf "mountpoint" ~attributes:["dev", f.inspected_as] in
  Option.map at f.mountpoint

(* Those of virt-inspector are sorted so. *)
let by_length (a : Inspect.filesystem) (b : Inspect.filesystem) =
  let key (f : Inspect.filesystem) =
    let place = Option.value f.mountpoint ~default:"" in
    String.length place, place in
  compare (key a) (key b)

let volume (f : Inspect.filesystem) =
  Element ("filesystem", ["dev", f.device], some [
    optional "type" f.fstype;
    optional "label" f.label;
    optional "uuid" f.uuid;
  ])

let drive_mappings = function
  | [] -> None
  | mappings ->
     let mapping (name, device) =
       leaf "drive_mapping" ~attributes:["name", name] device in
     Some (parent "drive_mappings" (List.map mapping mappings))

let application (app : Guestfs.application2) =
  parent "application" (some [
    Some (leaf "name" app.app2_name);
    filled "display_name" app.app2_display_name;
    (if app.app2_epoch = 0l then None
     else Some (leaf "epoch" (Int32.to_string app.app2_epoch)));
    filled "version" app.app2_version;
    filled "release" app.app2_release;
    filled "arch" app.app2_arch;
    filled "install_path" app.app2_install_path;
    filled "publisher" app.app2_publisher;
    filled "url" app.app2_url;
    filled "source_package" app.app2_source_package;
    filled "summary" app.app2_summary;
    filled "description" app.app2_description;
  ])

(* Lines of base64 as virt-inspector makes them. *)
let rec wrapped text =
  let width = 72 in
  if String.length text <= width then text
  else
    String.sub text 0 width ^ "\n"
    ^ wrapped (String.sub text width (String.length text - width))

let operating_system (s : Inspect.operating_system) =
  parent "operatingsystem" (some [
    Some (leaf "root" s.root);
    optional "name" s.kind;
    optional "arch" s.arch;
    optional "distro" s.distro;
    optional "product_name" s.product;
    optional "product_variant" s.product_variant;
    Some (leaf "major_version" (string_of_int s.major));
    Some (leaf "minor_version" (string_of_int s.minor));
    optional "package_format" s.package_format;
    optional "package_management" s.package_management;
    optional "windows_systemroot" s.windows_systemroot;
    optional "windows_current_control_set" s.windows_current_control_set;
    optional "hostname" s.hostname;
    optional "osinfo" s.osinfo;
    Some (parent "mountpoints"
            (List.filter_map mountpoint (List.sort by_length s.filesystems)));
    Some (parent "filesystems" (List.map volume s.volumes));
    drive_mappings s.drive_mappings;
    Option.map
      (fun apps -> parent "applications" (List.map application apps))
      s.applications;
    Option.map (fun png -> leaf "icon" (wrapped (Base64.encode png))) s.icon;
  ])

let document (t : Inspect.t) =
  Xml.document
    (parent "operatingsystems" (List.map operating_system t.systems))
