(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * From LUKS devices to keys and open devices.
 *)

open Printf

open Gettext
open Types

type depth =
  | Look
  | Recover
  | Open of { quick : bool }

let recover policy devices =
  (match List.length (List.filter is_bound devices) with
   | 0 -> ()
   | n ->
      Messages.message
        (fn_ "Recovering the key of %d LUKS device"
           "Recovering the keys of %d LUKS devices" n) n);
  let lukses = List.map (fun device -> device.luks) devices in
  let results = Clevis.Exchange.run ~tick:Signals.check policy lukses in
  let outcome (device : device) (result : Clevis.Exchange.result) =
    List.iter (Messages.warning "%s: %s" device.name) result.warnings;
    let state =
      match result.status with
      | Unlocked unlocked -> Recovered unlocked
      | Failed errors -> Failed errors
      | Unbound -> Unbound in
    { device; state } in
  List.map2 outcome devices results

let uuid_char = function
  | '0'..'9' | 'a'..'f' | 'A'..'F' | '-' -> true
  | _ -> false

let map_name ~taken ~device ~uuid =
  let valid = String.length uuid = 36 && String.for_all uuid_char uuid in
  let name =
    if valid then "luks-" ^ uuid
    else
      let plain = function
        | ('0'..'9' | 'a'..'z' | 'A'..'Z') as c -> c
        | _ -> '-' in
      "luks" ^ String.map plain device in
  let rec first_free n =
    let candidate = if n = 1 then name else sprintf "%s-%d" name n in
    if List.mem candidate taken then first_free (n + 1) else candidate in
  first_free 1

let rec write_all (g : Guestfs.guestfs) device offset data =
  let len = String.length data in
  let n = g#pwrite_device device data offset in
  if n < len then
    write_all g device (Int64.add offset (Int64.of_int n))
      (String.sub data n (len - n))

(* Put the quick header over the device, that is, into the overlay.  It only
 * saves time, so a header that does not allow it is no failure.
 *)
let quicken g (device : device) (unlocked : Clevis.Exchange.unlocked) =
  let { Clevis.Exchange.key; keyslot; _ } = unlocked in
  match Clevis.Luks.quicken device.luks ~key ~keyslot with
  | changes ->
     List.iter (fun (offset, data) -> write_all g device.name offset data)
       changes
  | exception Clevis.Error { message; _ } ->
     Messages.debug "%s: opened with its own header: %s" device.name message

(* Not readonly, although the guest's disk is never written: all writes go to
 * an overlay that ends with the appliance, and a journal that is not clean
 * must be replayed before its filesystem can be read.
 *)
let open_device g (device : device) mapname unlocked =
  let { Clevis.Exchange.key; _ } = unlocked in
  Messages.message (f_"Opening %s") device.name;
  match
    Clevis.Key.open_device key g ~readonly:false ~device:device.name ~mapname
  with
  | () -> Opened { unlocked; mapname }
  | exception Guestfs.Error message ->
     Signals.check ();
     Not_opened { unlocked; reason = Appliance.first_line message }
  | exception Clevis.Error error ->
     Not_opened { unlocked; reason = error.message }

(* Folded over the outcomes; taken are the names in use, newest first. *)
let open_outcome g ~quick (taken, outcomes) outcome =
  match outcome.state with
  | Untried | Unbound | Failed _ | Opened _ | Not_opened _ ->
     taken, outcome :: outcomes
  | Recovered unlocked ->
     Signals.check ();
     let { name = device; info = { uuid; _ }; _ } = outcome.device in
     let mapname = map_name ~taken ~device ~uuid in
     if mapname <> map_name ~taken:[] ~device ~uuid then
       Messages.warning
         (f_"%s: another device has the same UUID, so this one is opened as \
             %s: are they copies of each other?") device mapname;
     if quick then quicken g outcome.device unlocked;
     let state = open_device g outcome.device mapname unlocked in
     mapname :: taken, { outcome with state } :: outcomes

let is_open outcome =
  match outcome.state with
  | Opened _ -> true
  | Untried | Unbound | Failed _ | Recovered _ | Not_opened _ -> false

(* What lies in the devices that were just opened. *)
let rescan (g : Guestfs.guestfs) =
  if g#feature_available [| "lvm2" |] then g#lvm_scan true

type progress = {
  seen : Discover.seen;
  taken : string list;
  so_far : findings;
}

let rec rounds g ~quick policy progress =
  let devices, refused, seen = Discover.scan g progress.seen in
  let taken, opened =
    List.fold_left (open_outcome g ~quick) (progress.taken, [])
      (recover policy devices) in
  let so_far = {
    outcomes = progress.so_far.outcomes @ List.rev opened;
    refused = progress.so_far.refused @ refused;
  } in
  if List.exists is_open opened then (
    rescan g;
    rounds g ~quick policy { seen; taken; so_far }
  )
  else so_far

(* In the order in which all devices are listed now. *)
let in_order g findings =
  let names = List.mapi (fun i name -> name, i) (Discover.names g) in
  let rank name = Option.value (List.assoc_opt name names) ~default:max_int in
  let compare_outcomes a b =
    compare (rank a.device.name) (rank b.device.name) in
  { findings with
    outcomes = List.stable_sort compare_outcomes findings.outcomes }

let open_all g ~quick policy =
  let so_far = { outcomes = []; refused = [] } in
  in_order g (rounds g ~quick policy { seen = Discover.nothing; taken = []; so_far })

let look g judge =
  let devices, refused, _ = Discover.scan g Discover.nothing in
  { outcomes = judge devices; refused }

let run g policy depth =
  Messages.message (f_"Searching for LUKS devices");
  match depth with
  | Look -> look g (List.map (fun device -> { device; state = Untried }))
  | Recover -> look g (recover policy)
  | Open { quick } -> open_all g ~quick policy

let release_keys findings =
  let release (unlocked : Clevis.Exchange.unlocked) =
    Clevis.Key.release unlocked.key in
  List.iter release (List.filter_map unlocked findings.outcomes)
