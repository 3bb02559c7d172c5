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
  | Open of { quick : bool; all : bool }

type place =
  | On_host
  | In_appliance

type plan = {
  depth : depth;
  policy : Clevis.Policy.t;
  place : place;
  given_keys : Given_keys.t;
  may_restart : bool;
  headers : Headers.t;
}

(* One thread verifies keys one after another, while servers may still be
 * asked.
 *)
let exchange policy lukses =
  let results =
    Timing.step Exchange (fun () ->
      Clevis.Exchange.run ~tick:Signals.check policy lukses) in
  let verifying (result : Clevis.Exchange.result) =
    match result.status with
    | Unlocked { verify_seconds; _ } -> verify_seconds
    | Failed _ | Unbound -> 0. in
  let seconds = List.fold_left (+.) 0. (List.map verifying results) in
  Timing.move seconds ~from:Exchange ~into:Verify;
  results

let recover plan devices =
  (match List.length (List.filter is_bound devices) with
   | 0 -> ()
   | n ->
      Messages.message
        (fn_ "Recovering the key of %d LUKS device"
           "Recovering the keys of %d LUKS devices" n) n);
  let lukses = List.map (fun device -> device.luks) devices in
  let results = exchange plan.policy lukses in
  let outcome (device : device) (result : Clevis.Exchange.result) =
    List.iter (Messages.warning "%s: %s" device.name) result.warnings;
    let state =
      match result.status with
      | Unlocked unlocked -> Recovered unlocked
      | Failed errors -> Failed errors
      | Unbound -> Unbound in
    { device; state } in
  let outcomes = List.map2 outcome devices results in
  List.iter (Given_keys.hold plan.given_keys) (List.filter_map key outcomes);
  outcomes

let map_name ~taken ~device ~uuid =
  let name =
    if is_uuid uuid then "luks-" ^ uuid
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

(* Opening with its own header takes the memory of its keyslots.  Nothing is
 * begun again once somebody was asked for a key, who should not be asked twice.
 *)
let check_memory (g : Guestfs.guestfs) plan ?until device =
  match Memory.need ?until device with
  | Some need when need.memsize > g#get_memsize () ->
     if plan.may_restart && not (Given_keys.were_asked plan.given_keys) then
       raise (Appliance.Too_small need)
     else
       Messages.debug "%s, but the appliance has %d MiB" (Memory.reason need)
         (g#get_memsize ())
  | Some _ | None -> ()

(* Put the quick header over the device, that is, into the overlay.  It only
 * saves time, so a header that does not allow it is no failure; nor is a device
 * that cannot be written to, such as a volume that is read-only.  If only a part
 * was written, the open says so.
 *)
let quicken g plan (device : device) (unlocked : Clevis.Exchange.unlocked) =
  let { Clevis.Exchange.key; keyslot; _ } = unlocked in
  let without message =
    Messages.debug "%s: opened with its own header: %s" device.name message;
    check_memory g plan ~until:[keyslot] device in
  match
    List.iter (fun (offset, data) -> write_all g device.name offset data)
      (Clevis.Luks.quicken device.luks ~key ~keyslot)
  with
  | () -> ()
  | exception Clevis.Error { message; _ } -> without message
  | exception Guestfs.Error message ->
     Signals.check ();
     g#ping_daemon ();
     without (Guestfs_error.line message)

(* Not readonly, although the guest's disk is never written: all writes go to
 * an overlay that ends with the appliance, and a journal that is not clean
 * must be replayed before its filesystem can be read.
 *)
let open_by key g (device : device) mapname =
  let pause seconds =
    Signals.check ();
    Messages.debug "%s: is in use in the appliance, tried again" device.name;
    Unix.sleepf seconds;
    Signals.check () in
  Busy.again ~pause (fun () ->
    Clevis.Key.open_device key g ~readonly:false ~device:device.name ~mapname)

let open_device g (device : device) mapname unlocked =
  Timing.step Open @@ fun () ->
  let { Clevis.Exchange.key; _ } = unlocked in
  Messages.message (f_"Opening %s") device.name;
  match open_by key g device mapname with
  | () -> Opened { unlocked; mapname }
  | exception Guestfs.Error message ->
     Signals.check ();
     let hint =
       s_"If memory is short: --list shows what the keyslots take, --memsize \
          gives the appliance more." in
     Not_opened { unlocked; reason = Guestfs_error.line message;
                  hint = Some hint }
  | exception Clevis.Error error ->
     Not_opened { unlocked; reason = error.message; hint = error.hint }

let choose_name ~taken { name = device; info = { uuid; _ }; _ } =
  let mapname = map_name ~taken ~device ~uuid in
  if mapname <> map_name ~taken:[] ~device ~uuid then
    Messages.warning
      (f_"%s: another device has the same UUID, so this one is opened as %s: \
          are they copies of each other?") device mapname;
  mapname

(* libguestfs has no function that takes a header apart from its device. *)
let not_opened_detached unlocked file =
  Not_opened {
    unlocked;
    reason = sprintf (f_"libguestfs cannot open a device whose header is \
                         detached (%s)") file;
    hint = Some (s_"Write the key with --output-keys, and open the device on \
                    a host with 'cryptsetup open --header'.");
  }

(* The functions below are folded over the outcomes; taken are the names in
 * use, newest first.
 *)
let open_recovered g plan ~quick ~all (taken, outcomes) outcome =
  let with_state state = { outcome with state } :: outcomes in
  match outcome.state, outcome.device.detached with
  | Recovered unlocked, Some file when all ->
     taken, with_state (not_opened_detached unlocked file)
  | Recovered unlocked, None ->
     Signals.check ();
     let mapname = choose_name ~taken outcome.device in
     (* To try keyslots like those of clevis luks bind takes less time than to
      * write a header.
      *)
     if quick && not (Clevis.Luks.is_quick outcome.device.luks) then
       Timing.step Open (fun () -> quicken g plan outcome.device unlocked);
     mapname :: taken, with_state (open_device g outcome.device mapname unlocked)
  | _ -> taken, outcome :: outcomes

let open_in_appliance g (taken, outcomes) (device : device) =
  Signals.check ();
  let result state = { device; state } :: outcomes in
  if not (is_bound device) then taken, result Unbound
  else if device.detached <> None then
    taken, result (Failed_in_appliance { reason = s_"its header is detached" })
  else (
    let mapname = choose_name ~taken device in
    Messages.message (f_"Opening %s by clevis in the appliance") device.name;
    match
      Timing.step Open (fun () ->
        Clevis.In_appliance.unlock g ~device:device.name ~mapname)
    with
    | () ->
       mapname :: taken,
       result (Opened_otherwise { opener = Clevis_in_appliance; mapname })
    | exception Guestfs.Error message ->
       Signals.check ();
       g#ping_daemon ();
       let reason = Guestfs_error.line message in
       taken, result (Failed_in_appliance { reason })
  )

(* Try keys in turn.  Such a device is opened with its own header, as nobody
 * knows which keyslot a key is for.
 *)
let rec try_keys (g : Guestfs.guestfs) (device : device) mapname = function
  | [] -> Error (s_"there is no key")
  | key :: others ->
     Signals.check ();
     match Timing.step Open (fun () -> open_by key g device mapname) with
     | () -> Ok key
     | exception Guestfs.Error message ->
        Signals.check ();
        (* Is it the key or the appliance? *)
        g#ping_daemon ();
        if others = [] then Error (Guestfs_error.line message)
        else try_keys g device mapname others
     | exception Clevis.Error error ->
        if others = [] then Error error.message
        else try_keys g device mapname others

(* Those to be tried, and those of them that nothing else owns. *)
let keys_for g plan device =
  match Given_keys.for_device g plan.given_keys device with
  | [] ->
     let asked = Option.to_list (Given_keys.ask plan.given_keys device) in
     List.iter (Given_keys.hold plan.given_keys) asked;
     asked, asked
  | matching -> matching, []

(* Why the binding of a device did not open it. *)
let binding_errors outcome =
  match outcome.state with
  | Failed errors -> errors
  | Failed_in_appliance { reason } -> [plain_error outcome.device reason]
  | _ -> []

let is_closed outcome =
  match outcome.state with
  | Unbound | Failed _ | Failed_in_appliance _ -> outcome.device.detached = None
  | Untried | Recovered _ | Opened _ | Not_opened _ | Opened_otherwise _
  | Wrong_key _ -> false

let open_by_key g plan (taken, outcomes) outcome =
  match
    if is_closed outcome then keys_for g plan outcome.device else [], []
  with
  | [], _ -> taken, outcome :: outcomes
  | candidates, asked ->
     let { device; _ } = outcome in
     let mapname = choose_name ~taken device in
     let binding = binding_errors outcome in
     Messages.message (f_"Opening %s by a key that was given") device.name;
     match try_keys g device mapname candidates with
     | Ok key ->
        List.iter
          (fun (e : Clevis.error) -> Messages.warning "%s" e.line) binding;
        let state =
          Opened_otherwise { opener = Given_key key; mapname } in
        mapname :: taken, { outcome with state } :: outcomes
     | Error reason ->
        List.iter Clevis.Key.release asked;
        let state = Wrong_key { reason; binding } in
        taken, { outcome with state } :: outcomes

(* Before anything is opened or asked for in vain. *)
let check_own_header g plan ~quick outcome =
  let { device; state } = outcome in
  match state with
  | Recovered { keyslot; _ } when not quick && device.detached = None ->
     check_memory g plan ~until:[keyslot] device
  | _ when is_closed outcome
           && (Given_keys.may_ask plan.given_keys
               || Given_keys.for_device g plan.given_keys device <> []) ->
     check_memory g plan device
  | _ -> ()

type progress = {
  seen : Discover.seen;
  taken : string list;
  so_far : findings;
}

(* The bound devices first, all at once; then the others, by keys. *)
let open_devices g plan ~quick ~all taken devices =
  let taken, outcomes =
    match plan.place with
    | On_host ->
       let outcomes = recover plan devices in
       List.iter (check_own_header g plan ~quick) outcomes;
       List.fold_left (open_recovered g plan ~quick ~all) (taken, []) outcomes
    | In_appliance ->
       List.fold_left (open_in_appliance g) (taken, []) devices in
  let taken, outcomes =
    List.fold_left (open_by_key g plan) (taken, []) (List.rev outcomes) in
  taken, List.rev outcomes

let rec rounds g plan ~quick ~all progress =
  let devices, refused, seen =
    Discover.scan g plan.headers ~opened:progress.taken
      progress.seen in
  let taken, opened =
    open_devices g plan ~quick ~all progress.taken devices in
  let progress = {
    seen;
    taken;
    so_far = {
      outcomes = progress.so_far.outcomes @ opened;
      refused = progress.so_far.refused @ refused;
    };
  } in
  if List.exists (fun outcome -> mapname outcome <> None) opened then
    rounds g plan ~quick ~all progress
  else progress

(* In the order in which all devices were listed when nothing new was found. *)
let in_order seen findings =
  let names = List.mapi (fun i name -> name, i) (Discover.in_order seen) in
  let rank name = Option.value (List.assoc_opt name names) ~default:max_int in
  let compare_outcomes a b =
    compare (rank a.device.name) (rank b.device.name) in
  { findings with
    outcomes = List.stable_sort compare_outcomes findings.outcomes }

let check_headers seen headers =
  let check (device, _) =
    if not (Discover.was_seen seen device) then
      Messages.warning (f_"option --header: there is no device %s") device in
  List.iter check (Headers.detached headers)

let open_all g plan ~quick ~all =
  let so_far = { outcomes = []; refused = [] } in
  let progress =
    rounds g plan ~quick ~all { seen = Discover.nothing; taken = []; so_far } in
  check_headers progress.seen plan.headers;
  in_order progress.seen progress.so_far

let look g plan judge =
  let devices, refused, seen =
    Discover.scan g plan.headers ~opened:[] Discover.nothing in
  check_headers seen plan.headers;
  { outcomes = judge devices; refused }

let check_plan { place; _ } =
  if place = In_appliance && not (Clevis.In_appliance.is_known ()) then
    Failure.error
      ~hint:(s_"libguestfs has the function from version 1.49.3 on; this \
                program must be built with such a version.")
      (f_"--exchange=appliance: the libguestfs that this program was built \
          with has no clevis_luks_unlock")

(* libguestfs refuses to say what an appliance has before it runs. *)
let check_in_appliance (g : Guestfs.guestfs) plan =
  if plan.place = In_appliance
     && not (g#feature_available [| "clevisluks" |]) then
    Failure.error
      (f_"--exchange=appliance: there is no clevis in the appliance")

let run g plan =
  check_in_appliance g plan;
  Messages.message (f_"Searching for LUKS devices");
  match plan.depth with
  | Look -> look g plan (List.map (fun device -> { device; state = Untried }))
  | Recover -> look g plan (recover plan)
  | Open { quick; all } -> open_all g plan ~quick ~all
