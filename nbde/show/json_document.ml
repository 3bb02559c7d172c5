(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * One JSON document of all that was found.
 *)

open Json
open Types

type t = {
  actions : string list;
  findings : findings;
  preflight : Preflight.t option;
  inspection : Inspect.t option;
  requests : int option;
  errors : (string * string option) list;
  appliance : string option;
  status : int;
}

let version = 1

let int n = Int (Int64.of_int n)
let nullable f = Option.fold ~none:Null ~some:f
let text s = String s
let list f items = List (List.map f items)

(* No clock of ours is better than a microsecond. *)
let seconds s = Float (Float.round (s *. 1e6) /. 1e6)

(* What failed outside of the library has codes of its own. *)
let error_as code (e : Clevis.error) =
  Dict [
    "code", String code;
    "message", String e.message;
    "line", String e.line;
    "hint", nullable text e.hint;
    "device", nullable text e.device;
    "token", nullable int e.token;
    "keyslot", nullable int e.keyslot;
    "pin", nullable text e.pin;
    "url", nullable text e.url;
    "mapped_url", nullable text e.mapped;
    "address", nullable text e.address;
    "http_status", nullable int e.http_status;
  ]

let error (e : Clevis.error) = error_as (Clevis.code_name e.code) e

let keyslot (k : Clevis.Luks.keyslot) =
  Dict [
    "keyslot", int k.slot;
    "kdf", String k.kdf;
    "hash", nullable text k.hash;
    "iterations", int k.iterations;
    "memory_kib", int k.memory;
    "threads", int k.threads;
    "cipher", String k.cipher;
    "key_bits", int (8 * k.key_size);
    "priority", String k.priority;
    "refused", nullable text k.refused;
  ]

let answer_name : Clevis.Preflight.key -> string = function
  | Unknown -> "unknown"
  | Advertised -> "advertised"
  | Rotated -> "rotated"
  | Unadvertised -> "unadvertised"
  | Gone -> "gone"
  | Local -> "local"

let leaf (leaf : Clevis.Preflight.leaf) =
  Dict [
    "key", String (answer_name leaf.key);
    "signatures", Bool leaf.signatures;
    "seconds", seconds leaf.seconds;
    "address", nullable text leaf.address;
    "certificate_expiry", nullable text leaf.certificate_expiry;
    "error", nullable error leaf.error;
  ]

(* The depth of a tree is limited by the library. *)
let rec pin ~answer (p : Clevis.Luks.pin) =
  Dict [
    "pin", String p.name;
    "path", String p.path;
    "threshold", (if p.children = [] then Null else int p.threshold);
    "url", nullable text p.url;
    "kid", nullable text p.kid;
    "thumbprint_hash", nullable text p.thp_alg;
    "curve", nullable text p.curve;
    "parameters", Dict (List.map (fun (k, v) -> k, String v) p.params);
    "warning", nullable text p.warning;
    "error", nullable error p.unusable;
    "preflight", nullable leaf (answer p);
    "children", list (pin ~answer) p.children;
  ]

let token ~answer (t : Clevis.Luks.token) =
  Dict [
    "token", int t.id;
    "type", String t.kind;
    "keyslots", list int t.keyslots;
    "stale", nullable text t.stale;
    "error", nullable error t.broken;
    "pin", nullable (pin ~answer:(answer t.id)) t.pin;
  ]

let luks ~answer { info; detached; _ } =
  Dict [
    "version", int info.version;
    "uuid", String info.uuid;
    "label", (if info.label = "" then Null else String info.label);
    "cipher", String info.cipher;
    "key_bits", int (8 * info.key_size);
    "sector_size", int info.sector_size;
    "data_offset", Int info.data_offset;
    "header_file", nullable text detached;
    "note", nullable text info.note;
    "keyslots", list keyslot info.keyslots;
    "tokens", list (token ~answer) info.tokens;
  ]

let kind_name = function
  | Whole_disk -> "whole-disk"
  | Partition -> "partition"
  | Md_array -> "md-array"
  | Logical_volume -> "logical-volume"
  | Mapped -> "mapped"

let state_name = function
  | Untried -> "untried"
  | Unbound -> "unbound"
  | Failed _ -> "failed"
  | Recovered _ -> "recovered"
  | Opened _ -> "opened"
  | Not_opened _ -> "not-opened"
  | Opened_otherwise { opener = Given_key _; _ } -> "opened-by-given-key"
  | Opened_otherwise { opener = Clevis_in_appliance; _ } ->
     "opened-by-appliance"
  | Failed_in_appliance _ -> "failed"
  | Wrong_key _ -> "wrong-key"

let unlocked_by (u : Clevis.Exchange.unlocked) =
  Dict [
    "token", int u.token;
    "keyslot", int u.keyslot;
    "servers", list text u.servers;
    "seconds", seconds u.seconds;
    "verify_seconds", seconds u.verify_seconds;
  ]

let errors ({ device; state } : outcome) =
  let plain ?hint code message =
    error_as code (plain_error device ?hint message) in
  match state with
  | Failed errors -> List.map error errors
  | Not_opened { reason; hint; _ } -> [plain ?hint "not-opened" reason]
  | Failed_in_appliance { reason } -> [plain "appliance" reason]
  | Wrong_key { reason; binding } ->
     List.map error binding @ [plain "wrong-key" reason]
  | Untried | Unbound | Recovered _ | Opened _ | Opened_otherwise _ -> []

let verdict_name : Clevis.Preflight.verdict -> string = function
  | Closed -> "does-not-open"
  | No_spare -> "opens-with-nothing-to-spare"
  | Opens -> "opens"
  | Unbound -> "unbound"

let device preflight (outcome : outcome) =
  let { device; state } = outcome in
  let result = Option.bind preflight (Preflight.result device) in
  let answer token pin =
    Option.bind result (fun result -> Preflight.leaf result ~token pin) in
  let verdict (result : Clevis.Preflight.result) =
    String (verdict_name result.verdict) in
  Dict [
    "device", String device.name;
    "kind", String (kind_name device.kind);
    "size", Int device.size;
    "bound", Bool (is_bound device);
    "state", String (state_name state);
    "preflight", nullable verdict result;
    "mapname", nullable text (mapname outcome);
    "unlocked_by", nullable unlocked_by (unlocked outcome);
    "errors", List (errors outcome);
    "luks", luks ~answer device;
  ]

let refused (refused : refused) =
  Dict [
    "device", String refused.name;
    "kind", String (kind_name refused.kind);
    "size", Null;
    "bound", Null;
    "state", String "refused";
    "preflight", Null;
    "mapname", Null;
    "unlocked_by", Null;
    "errors", List [error refused.error];
    "luks", Null;
  ]

let filesystem (f : Inspect.filesystem) =
  Dict [
    "mountpoint", nullable text f.mountpoint;
    "device", String f.device;
    "type", String (Option.value f.fstype ~default:"unknown");
    "size", nullable (fun size -> Int size) f.size;
    "label", nullable text f.label;
    "uuid", nullable text f.uuid;
  ]

let filled = function
  | "" -> Null
  | text -> String text

let application (app : Guestfs.application2) =
  Dict [
    "name", String app.app2_name;
    "display_name", filled app.app2_display_name;
    "epoch", Int (Int64.of_int32 app.app2_epoch);
    "version", filled app.app2_version;
    "release", filled app.app2_release;
    "arch", filled app.app2_arch;
    "install_path", filled app.app2_install_path;
    "publisher", filled app.app2_publisher;
    "url", filled app.app2_url;
    "source_package", filled app.app2_source_package;
    "summary", filled app.app2_summary;
    "description", filled app.app2_description;
  ]

let drive_mapping (letter, device) =
  Dict ["name", String letter; "device", String device]

let operating_system (s : Inspect.operating_system) =
  let if_filled = nullable filled in
  Dict [
    "root", String s.root;
    "type", if_filled s.kind;
    "product_name", if_filled s.product;
    "product_variant", if_filled s.product_variant;
    "version", nullable text (Inspect.version s);
    "arch", if_filled s.arch;
    "distro", if_filled s.distro;
    "osinfo", if_filled s.osinfo;
    "hostname", if_filled s.hostname;
    "package_format", if_filled s.package_format;
    "package_management", if_filled s.package_management;
    "windows_systemroot", if_filled s.windows_systemroot;
    "windows_current_control_set", if_filled s.windows_current_control_set;
    "filesystems", list filesystem s.filesystems;
    "volumes", list filesystem s.volumes;
    "drive_mappings", list drive_mapping s.drive_mappings;
    "applications", nullable (list application) s.applications;
    "icon", nullable (fun png -> String (Base64.encode png)) s.icon;
  ]

let printed (message, hint) =
  Dict ["message", String message; "hint", nullable text hint]

let timings () =
  let step (step, s) = Timing.name step, seconds s in
  Dict [
    "steps", Dict (List.map step (Timing.steps ()));
    "total", seconds (Timing.total ());
  ]

let json t =
  let { outcomes; refused = damaged; _ } = t.findings in
  let inspected f = nullable f t.inspection in
  Dict [
    "version", int version;
    "program", String Package.name;
    "program_version", String Package.version;
    "actions", list text t.actions;
    "exit_status", int t.status;
    "looked_from",
      String (if t.appliance = None then "host" else "appliance");
    "reason", nullable text t.appliance;
    "devices",
      List (List.map (device t.preflight) outcomes
            @ List.map refused damaged);
    "operating_systems",
      inspected (fun { Inspect.systems; _ } -> list operating_system systems);
    "filesystems",
      inspected (fun { Inspect.loose; _ } -> list filesystem loose);
    "requests", nullable int t.requests;
    "errors", list printed t.errors;
    "timings", timings ();
  ]
