(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * From LUKS devices to keys and open devices.
 *)

open Gettext
open Plan
open Types

(* One thread verifies keys one after another, while servers may still be
 * asked.
 *)
let exchange { policy; deadline; _ } lukses =
  let results =
    Timing.step Exchange (fun () ->
      Deadline.within deadline (fun () ->
        Clevis.Exchange.run ~tick:Signals.check policy lukses)) in
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
  let results = exchange plan lukses in
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

(* A search, and what became of the devices that it has found. *)
type round = {
  found : Discover.found;
  outcomes : outcome list;
}

type known = {
  rounds : round list;          (* the newest first *)
  taken : string list;          (* names that are in use, the newest first *)
  promised : string list;       (* names that the host has chosen *)
  doubt : string option;
}

let nothing_yet = { rounds = []; taken = []; promised = []; doubt = None }

let nothing_known doubt = { nothing_yet with doubt = Some doubt }

let seen { rounds; _ } =
  match rounds with
  | [] -> Discover.nothing
  | { found = { seen; _ }; _ } :: _ -> seen

let doubt { doubt; _ } = doubt

let outcomes_of { rounds; _ } =
  List.concat_map (fun round -> round.outcomes) (List.rev rounds)

let is_open outcome = mapname outcome <> None

let check_headers seen headers =
  let check (device, _) =
    if not (Discover.was_seen seen device) then
      Messages.warning (f_"option --header: there is no device %s") device in
  List.iter check (Headers.detached headers)

(* In the order in which all devices were listed when nothing new was found. *)
let findings plan known =
  let seen = seen known in
  Discover.say_unreadable seen;
  check_headers seen plan.headers;
  let names = List.mapi (fun i name -> name, i) (Discover.in_order seen) in
  let rank name = Option.value (List.assoc_opt name names) ~default:max_int in
  let compare_outcomes a b =
    compare (rank a.device.name) (rank b.device.name) in
  { outcomes = List.stable_sort compare_outcomes (outcomes_of known);
    refused =
      List.concat_map (fun { found; _ } -> found.Discover.refused)
        (List.rev known.rounds);
    sizes = Discover.sizes seen }

let judge plan devices =
  match plan.depth with
  | Look -> List.map (fun device -> { device; state = Untried }) devices
  | Recover | Open _ -> if devices = [] then [] else recover plan devices

(* On the host. *)

(* Once there is doubt, the others are left to the appliance, too. *)
let unlock_here host known outcome =
  match outcome.state, outcome.device.detached, known.doubt with
  | Recovered ({ key; keyslot; _ } as unlocked), None, None ->
     Signals.check ();
     let mapname = Map_name.free ~taken:known.taken outcome.device in
     (match
        Timing.step Open (fun () ->
          Host.unlock host outcome.device ~mapname ~key ~keyslot)
      with
      | () ->
         Map_name.say outcome.device mapname;
         { known with taken = mapname :: known.taken },
         { outcome with state = Opened { unlocked; mapname } }
      | exception Drives.Unsure reason ->
         { known with doubt = Some reason }, outcome)
  | _ -> known, outcome

type search = (Discover.found, string) result

let search_again host plan known =
  match Discover.on_host host plan.headers (seen known) with
  | found -> Ok found
  | exception Drives.Unsure reason -> Error reason

let search host plan = search_again host plan nothing_yet

(* Each round looks at all that is open, through all that it is in. *)
let most_rounds = 8

let rec rounds_here host plan known = function
  | Error reason -> { known with doubt = Some reason }
  | Ok found ->
     let outcomes = judge plan found.Discover.devices in
     let known, outcomes =
       match plan.depth with
       | Look | Recover -> known, outcomes
       | Open _ -> List.fold_left_map (unlock_here host) known outcomes in
     let known = { known with rounds = { found; outcomes } :: known.rounds } in
     if known.doubt <> None || not (List.exists is_open outcomes) then known
     else if List.length known.rounds > most_rounds then
       { known with doubt = Some (s_"LUKS in LUKS in LUKS without end") }
     else rounds_here host plan known (search_again host plan known)

let wants_given_key plan outcome =
  Opening.is_closed outcome && Given_keys.may_have plan.given_keys outcome.device

let on_host host plan search =
  let known = rounds_here host plan nothing_yet search in
  match plan.depth with
  | Open _ when known.doubt = None
                && List.exists (wants_given_key plan) (outcomes_of known) ->
     { known with doubt = Some (s_"keys of yours are tried in the appliance") }
  | _ -> known

(* In the appliance. *)

let quick plan =
  match plan.depth with
  | Open { quick; _ } -> quick
  | Look | Recover -> false

let greatest_need plan outcomes =
  let dearer (a : Memory.need) (b : Memory.need) =
    if b.memsize > a.memsize then b else a in
  match
    List.filter_map (Opening.own_header_need plan ~quick:(quick plan)) outcomes
  with
  | [] -> None
  | need :: needs -> Some (List.fold_left dearer need needs)

(* The user has the last word; what more is needed is then told. *)
let foreseen plan ~all outcomes =
  { Appliance.all;
    need = if plan.may_restart then greatest_need plan outcomes else None }

let memory_need plan known =
  foreseen plan ~all:(known.doubt = None) (outcomes_of known)

let memory_foreseen plan = function
  | Error _ -> Appliance.unforeseen
  | Ok { Discover.devices; _ } ->
     foreseen plan ~all:true
       (List.map (fun device -> { device; state = Untried }) devices)

let is_wanted plan =
  match plan.depth with
  | Open { all; _ } -> all
  | Look | Recover -> false

(* The name of a device that stays closed is not in use. *)
let open_recovered g plan ~was_read_here taken outcome =
  let opened mapname unlocked =
    let state =
      Opening.recovered g plan ~quick:(quick plan) ~was_read_here
        outcome.device mapname unlocked in
    let outcome = { outcome with state } in
    Option.to_list (Types.mapname outcome) @ taken, outcome in
  match outcome.state, outcome.device.detached with
  | Recovered unlocked, Some file when is_wanted plan ->
     taken, { outcome with state = Opening.not_opened_detached unlocked file }
  | Recovered unlocked, None ->
     opened (Map_name.choose ~taken outcome.device) unlocked
  | Opened { unlocked; mapname }, _ -> opened mapname unlocked
  | _ -> taken, outcome

let by_clevis g taken (device : device) =
  let outcome = { device; state = Opening.by_clevis g ~taken device } in
  Option.to_list (mapname outcome) @ taken, outcome

let by_given_key g plan ~promised taken outcome =
  let tried =
    Opening.by_given_key g plan ~taken:(promised @ taken) outcome in
  if is_open tried && not (is_open outcome) then
    Option.to_list (mapname tried) @ taken, tried
  else taken, tried

(* The bound devices first, all at once; then the others, by keys. *)
let open_outcomes g plan ~was_read_here ?(promised = []) taken outcomes =
  List.iter (Opening.check_own_header g plan ~quick:(quick plan)) outcomes;
  let taken, outcomes =
    List.fold_left_map (open_recovered g plan ~was_read_here) taken outcomes in
  List.fold_left_map (by_given_key g plan ~promised) taken outcomes

let open_devices g plan taken devices =
  match plan.place with
  | On_host ->
     open_outcomes g plan ~was_read_here:false taken (judge plan devices)
  | In_appliance ->
     let taken, outcomes = List.fold_left_map (by_clevis g) taken devices in
     List.fold_left_map (by_given_key g plan ~promised:[]) taken outcomes

let rec rounds g plan known =
  let found =
    Discover.in_appliance g plan.headers ~opened:known.taken (seen known) in
  let taken, outcomes = open_devices g plan known.taken found.devices in
  let known =
    { known with taken; rounds = { found; outcomes } :: known.rounds } in
  if List.exists is_open outcomes then rounds g plan known else known

(* What was found on the host is done in the appliance.  Where a device does not
 * open there, what is inside is not there; where a key opened one that had been
 * closed, more may be there than is known.
 *)
let rec resume g plan known = function
  | [] -> known
  | { found; outcomes } :: later ->
     if found.Discover.new_volumes then Block_devices.rescan g;
     let were_open = List.map is_open outcomes in
     let taken, outcomes =
       open_outcomes g plan ~was_read_here:true ~promised:known.promised
         known.taken outcomes in
     let are_open = List.map is_open outcomes in
     let known =
       { known with taken; rounds = { found; outcomes } :: known.rounds } in
     let unchanged = were_open = are_open in
     let doubt =
       if unchanged then known.doubt else Some (s_"other devices are open") in
     let known = { known with doubt } in
     if List.exists2 (fun before now -> before && not now) were_open are_open
     then known
     else resume g plan known later

let look g plan =
  let found =
    Discover.in_appliance g plan.headers ~opened:[] Discover.nothing in
  let outcomes = judge plan found.devices in
  { nothing_yet with rounds = [{ found; outcomes }] }

let open_all g plan known =
  let resumed =
    resume g plan
      { known with rounds = []; taken = []; promised = known.taken }
      (List.rev known.rounds) in
  if resumed.doubt = None then resumed else rounds g plan resumed

(* libguestfs refuses to say what an appliance has before it runs. *)
let check_in_appliance (g : Guestfs.guestfs) plan =
  if plan.place = In_appliance
     && not (g#feature_available [| "clevisluks" |]) then
    Failure.error
      (f_"--exchange=appliance: there is no clevis in the appliance")

let in_appliance g plan known =
  check_in_appliance g plan;
  let known =
    match plan.depth with
    | Open _ -> open_all g plan known
    | (Look | Recover) when known.rounds <> [] -> known
    | Look | Recover -> look g plan in
  findings plan known
