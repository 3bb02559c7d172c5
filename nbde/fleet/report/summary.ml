(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * All that a report says, whatever its format.
 *)

open Printf

open Gettext

type t = {
  state : string;
  made : float;
  guests : (Records.guest * Standing.t) list;
  servers : Servers.t list;
  to_bind : string list;
}

let make ~state ~made guests =
  let servers = Servers.make guests in
  let alone = Servers.alone servers in
  let judged (guest : Records.guest) =
    guest, Standing.of_guest ~alone:(alone guest.name) guest in
  { state; made; servers;
    guests = List.map judged guests;
    to_bind = Servers.guests_to_bind servers }

let guests_of t outcome =
  List.filter_map
    (fun (guest, o) -> if o = outcome then Some guest else None) t.guests

let count t outcome = List.length (guests_of t outcome)

let opening t =
  List.length (List.filter (fun (_, o) -> Standing.opens o) t.guests)

let counts t =
  List.filter (fun (_, n) -> n > 0)
    (List.map (fun outcome -> outcome, count t outcome) Standing.all)

let times t =
  let started (guest, _) =
    Option.map (fun (r : Records.record) -> r.started) (Standing.record guest) in
  match List.filter_map started t.guests with
  | [] -> None
  | first :: rest ->
     Some (List.fold_left min first rest, List.fold_left max first rest)

let most_servers = 200

let shown_servers t = List.filteri (fun i _ -> i < most_servers) t.servers

type task =
  | Revive of Servers.t
  | Unsigned of Servers.t
  | Look of Standing.t * int
  | Bind of int
  | Ask of int
  | Second of Servers.t

(* A server of a single guest is that guest's affair, and may be invented. *)
let matters (server : Servers.t) = List.length server.guests > 1

let tasks t =
  let servers = List.filter matters t.servers in
  let looks =
    List.filter_map (fun (outcome, n) ->
      (* Nobody knows whether a guest without a binding should have one. *)
      if Standing.is_trouble outcome && outcome <> Unbound then
        Some (Look (outcome, n))
      else None)
      (counts t) in
  let silent (s : Servers.t) =
    match s.reached with
    | Silent _ -> Some (Revive s)
    | Answers | Nobody_asked -> None in
  let unsigned (s : Servers.t) =
    let bad (k : Servers.key) = not k.signed in
    if List.exists bad s.keys then Some (Unsigned s) else None in
  let binds =
    match List.length t.to_bind with
    | 0 -> []
    | n -> [Bind n] in
  let asks =
    match count t Standing.Not_asked with
    | 0 -> []
    | n -> [Ask n] in
  (* One is enough to see the point: the map has them all. *)
  let second =
    match t.servers with
    | s :: _ when matters s && List.length s.alone > 1 -> [Second s]
    | _ -> [] in
  List.filter_map silent servers @ List.filter_map unsigned servers @ looks
  @ binds @ asks @ second

let look_text outcome n =
  match (outcome : Standing.t) with
  | Failed ->
     sprintf (fn_ "%d guest does not open: look at the cause."
                "%d guests do not open: look at the causes." n) n
  | Unreachable ->
     sprintf (fn_ "%d guest waits for a server: run the same command again when \
                   it is back."
                "%d guests wait for a server: run the same command again when it \
                 is back." n) n
  | Command_failed ->
     sprintf (fn_ "The command failed for %d guest: read what it said."
                "The command failed for %d guests: read what it said." n) n
  | Error ->
     sprintf (fn_ "%d guest could not be looked at."
                "%d guests could not be looked at." n) n
  | Killed ->
     sprintf (fn_ "Work on %d guest was killed: run the same command again."
                "Work on %d guests was killed: run the same command again." n) n
  | Damaged ->
     sprintf (fn_ "%d guest has no record that can be read."
                "%d guests have no record that can be read." n) n
  | Opens | No_spare | Not_asked | Unbound ->
     sprintf "%d: %s" n (Standing.text outcome)

let task_text = function
  | Look (outcome, n) -> look_text outcome n
  | Revive server ->
     let n = List.length server.guests in
     sprintf (fn_ "%s did not answer; %d guest is bound to it."
                "%s did not answer; %d guests are bound to it." n)
       server.server n
  | Unsigned server ->
     sprintf (f_"The advertisement of %s is not signed by its keys.  Do not bind \
                 anything to it before you know why.") server.server
  | Bind n ->
     sprintf (fn_ "%d guest has a key that its server no longer advertises: bind \
                   it anew."
                "%d guests have a key that its server no longer advertises: bind \
                 them anew." n) n
  | Ask n ->
     sprintf (fn_ "%d guest was listed only: 'virt-nbde-fleet preflight' asks its \
                   servers."
                "%d guests were listed only: 'virt-nbde-fleet preflight' asks \
                 their servers." n) n
  | Second server ->
     let n = List.length server.alone in
     sprintf (fn_ "%d guest stops booting if %s dies: bind it to a second server."
                "%d guests stop booting if %s dies: bind them to a second server."
                n) n server.server
