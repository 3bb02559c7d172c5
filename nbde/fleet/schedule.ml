(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Which guest is next.
 *)

module Guests = Map.Make (Int)
module Servers = Map.Make (String)

type settings = {
  parallel : int;
  retries : int;
  pause : float;
  holds : bool;
}

type server =
  | Canary of { guest : int; failures : int }
  | Up
  | Down of { until : float; since : float; failures : int }

type guest = {
  needs : Needs.t option;
  tries : int;
  not_before : float;
}

type running = {
  guest : guest;
  since : float;
  canary : bool;
  new_try : bool;               (* of a server that was down *)
}

type t = {
  settings : settings;
  waiting : guest Guests.t;
  running : running Guests.t;
  servers : server Servers.t;   (* without those that nobody has asked *)
}

type next =
  | Start of int
  | Give_up of int * string
  | Wait of float option
  | Finished

let make settings guests =
  let add waiting (n, needs) =
    Guests.add n { needs; tries = 0; not_before = neg_infinity } waiting in
  { settings; waiting = List.fold_left add Guests.empty guests;
    running = Guests.empty; servers = Servers.empty }

(* A canary that takes so long waits for its server and needs no processor: it
 * keeps no other guest from being started.  There are at most as many of these as
 * of the others.
 *)
let canary_patience = 0.5

let busy t ~now =
  let patient { canary; since; _ } =
    canary && now -. since >= canary_patience in
  let patient_ones = Guests.filter (fun _ r -> patient r) t.running in
  Guests.cardinal t.running
  - min t.settings.parallel (Guests.cardinal patient_ones)

let servers_of guest =
  match guest.needs with
  | Some needs -> Needs.servers needs
  | None -> []

let is_lost t = function
  | Some (Down { failures; _ }) -> failures > t.settings.retries
  | Some (Canary _ | Up) | None -> false

let is_down ~now = function
  | Some (Down { until; _ }) -> until > now
  | Some (Canary _ | Up) | None -> false

(* A canary of several servers may be waiting for another one of them. *)
let is_slow t ~now n =
  match Guests.find_opt n t.running with
  | Some { since; guest; _ } ->
     now -. since >= canary_patience
     && List.compare_length_with (servers_of guest) 1 > 0
  | None -> false

type readiness =
  | Ready
  | Lost of string
  | Later of float
  | Held                        (* until a canary has ended *)

let until t url =
  match Servers.find_opt url t.servers with
  | Some (Down { until; _ }) -> until
  | Some (Canary _ | Up) | None -> neg_infinity

let readiness t ~now guest =
  let state url = Servers.find_opt url t.servers in
  let hangs down =
    if t.settings.holds then
      Option.bind guest.needs (fun needs ->
        Needs.hangs_on needs ~down:(fun url -> down (state url)))
    else None in
  match hangs (is_lost t) with
  | Some url -> Lost url
  | None when guest.not_before > now -> Later guest.not_before
  | None ->
     match hangs (is_down ~now) with
     | Some url -> Later (until t url)
     | None ->
        let tried url =
          match state url with
          | Some (Canary { guest; _ }) -> not (is_slow t ~now guest)
          | Some (Up | Down _) | None -> false in
        if List.exists tried (servers_of guest) then Held else Ready

(* From now on it is the canary of all its servers of which nothing is known, or
 * nothing good.
 *)
let send t ~now n guest =
  let try_out (servers, canary, new_try) url =
    let failures =
      match Servers.find_opt url servers with
      | None -> Some 0
      | Some (Down { failures; until; _ }) when until <= now -> Some failures
      | Some (Canary { guest; failures }) when is_slow t ~now guest ->
         Some failures
      | Some (Down _ | Up | Canary _) -> None in
    match failures with
    | Some failures ->
       Servers.add url (Canary { guest = n; failures }) servers, true,
       new_try || failures > 0
    | None -> servers, canary, new_try in
  let servers, canary, new_try =
    List.fold_left try_out (t.servers, false, false) (servers_of guest) in
  { t with servers;
           waiting = Guests.remove n t.waiting;
           running = Guests.add n { guest; since = now; canary; new_try } t.running }

let first_time t ~now =
  let earlier a b =
    match a with
    | Some a when a <= b -> Some a
    | Some _ | None -> Some b in
  Guests.fold (fun _ { canary; since; _ } time ->
    let patient_at = since +. canary_patience in
    if canary && patient_at > now then earlier time patient_at else time)
    t.running None

let next t ~now =
  if Guests.is_empty t.waiting && Guests.is_empty t.running then t, Finished
  else if busy t ~now >= t.settings.parallel then t, Wait (first_time t ~now)
  else (
    let rec look time guests =
      match guests () with
      | Seq.Nil -> t, Wait time
      | Seq.Cons ((n, guest), others) ->
         match readiness t ~now guest with
         | Ready -> send t ~now n guest, Start n
         | Lost url ->
            { t with waiting = Guests.remove n t.waiting }, Give_up (n, url)
         | Held -> look time others
         | Later at ->
            let sooner = Option.fold ~none:at ~some:(Float.min at) time in
            look (Some sooner) others in
    look None (Guests.to_seq t.waiting)
  )

let learned t n needs =
  let { guest; _ } = Guests.find n t.running in
  { t with running = Guests.remove n t.running;
           waiting = Guests.add n { guest with needs = Some needs } t.waiting }

let pause t ~failures =
  t.settings.pause *. Float.pow 2. (float_of_int (failures - 1))

(* Several guests may find the same server down at the same time: that is one
 * failure.
 *)
let found_down t ~now ~since url =
  let failed failures =
    let failures = failures + 1 in
    { t with servers = Servers.add url
        (Down { until = now +. pause t ~failures; since = now; failures })
        t.servers } in
  match Servers.find_opt url t.servers with
  | Some (Down { since = noted; _ }) when since <= noted -> t
  | Some (Down { failures; _ } | Canary { failures; _ }) -> failed failures
  | Some Up | None -> failed 0

(* A canary that has ended without a word about a server did not need it, unless
 * it was killed.
 *)
let release_canary n verdict servers =
  Servers.filter_map (fun _ server ->
    match server with
    | Canary { guest; _ } when guest = n ->
       if verdict = Verdict.Killed then None else Some Up
    | Canary _ | Up | Down _ -> Some server) servers

let learn t ~now ~since n verdict (evidence : Needs.evidence) =
  let t = List.fold_left (fun t url -> found_down t ~now ~since url) t
            evidence.unreachable in
  let up servers url = Servers.add url Up servers in
  let servers = List.fold_left up t.servers evidence.reached in
  { t with servers = release_canary n verdict servers }

let heard t ~now n evidence =
  let running = Guests.find n t.running in
  let t = learn t ~now ~since:running.since n Verdict.Done evidence in
  let running = { running with canary = false } in
  { t with running = Guests.add n running t.running }

let ended ?(last = false) t ~now n verdict evidence =
  let { guest; since; _ } = Guests.find n t.running in
  let t = { t with running = Guests.remove n t.running } in
  let t = learn t ~now ~since n verdict evidence in
  let tries = guest.tries + 1 in
  if Verdict.passes verdict && tries <= t.settings.retries && not last then
    let not_before = now +. pause t ~failures:tries in
    { t with waiting = Guests.add n { guest with tries; not_before } t.waiting },
    false
  else t, true

let is_known t n =
  match Guests.find_opt n t.running with
  | Some { guest; _ } -> guest.needs <> None
  | None -> false

let is_new_try t n =
  match Guests.find_opt n t.running with
  | Some { new_try; _ } -> new_try
  | None -> false

let down t =
  Servers.fold (fun url server urls ->
    match server with
    | Down _ -> url :: urls
    | Up | Canary _ -> urls) t.servers []
  |> List.rev
