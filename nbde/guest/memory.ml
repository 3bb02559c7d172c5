(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What memory the appliance needs to open devices with their own headers.
 *)

open Printf

open Gettext

type need = {
  device : string;
  keyslot : int;
  takes : int;
  memsize : int;
}

(* An argon2id keyslot of 1 GiB opened in an appliance of 1184 MiB, and not in
 * a smaller one; close to that limit it took three times as long.
 *)
let overhead = 256

(* No keyslot that cryptsetup makes takes more, so that a disk which says so
 * does not get it.
 *)
let greatest = 4 * 1024 * 1024

(* Those behind the last one of the given numbers are left out. *)
let rec up_to numbers (keyslots : Clevis.Luks.keyslot list) =
  let is_behind = List.for_all (fun (k : Clevis.Luks.keyslot) ->
    not (List.mem k.slot numbers)) in
  match keyslots with
  | [] -> []
  | k :: rest when is_behind rest -> [k]
  | k :: rest -> k :: up_to numbers rest

let tried ?until (info : Clevis.Luks.info) =
  let with_priority priority =
    List.filter (fun (k : Clevis.Luks.keyslot) -> k.priority = priority)
      info.keyslots in
  let all = with_priority "prefer" @ with_priority "normal" in
  Option.fold ~none:all ~some:(fun numbers -> up_to numbers all) until

let need ?until (device : Types.device) =
  let dearer dearest (k : Clevis.Luks.keyslot) =
    match dearest with
    | Some (d : Clevis.Luks.keyslot) when d.memory >= k.memory -> dearest
    | Some _ | None -> if k.memory > 0 then Some k else dearest in
  let need (k : Clevis.Luks.keyslot) =
    let takes = min k.memory greatest in
    { device = device.name; keyslot = k.slot; takes;
      memsize = overhead + (takes + 1023) / 1024 } in
  Option.map need (List.fold_left dearer None (tried ?until device.info))

let available () =
  let mib line = Scanf.sscanf line "MemAvailable: %d kB" (fun n -> n / 1024) in
  let rec search channel =
    let line = input_line channel in
    try mib line
    with Scanf.Scan_failure _ | Failure _ | End_of_file -> search channel in
  try
    let channel = open_in "/proc/meminfo" in
    Fun.protect ~finally:(fun () -> close_in_noerr channel) (fun () ->
      Some (search channel))
  with Sys_error _ | End_of_file -> None

let mib n = Humansize.bytes (Int64.mul 1048576L (Int64.of_int n))

let reason { device; keyslot; takes; _ } =
  sprintf (f_"%s: keyslot %d takes %s of memory") device keyslot
    (Humansize.bytes (Int64.mul 1024L (Int64.of_int takes)))

let missing need ~available =
  match available with
  | Some available when available < need.memsize ->
     Some (
       sprintf (f_"%s, so the appliance needs %s, and this host has only %s \
                   left") (reason need) (mib need.memsize) (mib available),
       s_"Opened read-only and without --no-quick-open, a device with a Clevis \
          binding takes no such memory; --memsize overrides what is needed.")
  | Some _ | None -> None
