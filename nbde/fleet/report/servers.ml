(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The map of servers and keys.
 *)

type key = {
  key : Pins.key;
  state : Pins.state;
  signed : bool;
  asked : float option;
  guests : string list;
  needed_by : string list;
}

type reached =
  | Answers
  | Silent of Pins.trouble option
  | Nobody_asked

type t = {
  server : string;
  guests : string list;
  alone : string list;
  reached : reached;
  asked : float option;
  expiry : string option;
  keys : key list;
}

(* What was said of a key last. *)
type answers = (Pins.key, float * Pins.said) Hashtbl.t

let answers guests : answers =
  let table = Hashtbl.create 64 in
  (* Of those to whom a server gave no answer, only the first may have asked it:
   * that one has a hint.
   *)
  let better (said : Pins.said) (other : Pins.said) =
    let has_hint (s : Pins.said) =
      Option.bind s.trouble (fun t -> t.Pins.hint) <> None in
    if said.state = other.state && has_hint other then other else said in
  let hear time (key, said) =
    match Hashtbl.find_opt table key with
    | Some (newer, old) when newer > time ->
       Hashtbl.replace table key (newer, better old said)
    | Some (_, old) -> Hashtbl.replace table key (time, better said old)
    | None -> Hashtbl.replace table key (time, said) in
  let of_record (r : Records.record) =
    let of_device (d : Records.device) =
      List.iter (hear r.started) d.answers in
    List.iter of_device (Option.value r.devices ~default:[]) in
  List.iter (fun (g : Records.guest) -> List.iter of_record g.records) guests;
  table

let state_of answers key : Pins.state =
  match Hashtbl.find_opt answers key with
  | Some (_, (said : Pins.said)) -> said.state
  | None -> Not_asked

(* The trees of each bound device, from the newest document: the guest needs one
 * tree of each.
 *)
let needs (guest : Records.guest) =
  let devices (r : Records.record) = r.devices in
  let bound (d : Records.device) = d.bound in
  let roots (d : Records.device) = d.roots in
  match List.find_map devices guest.records with
  | None -> []
  | Some devices -> List.map roots (List.filter bound devices)

let opens needs there =
  needs <> []
  && List.for_all (List.exists (Pins.suffices there)) needs

(* Which of these does a guest not open without?  None, if it does not open
 * anyway.  is_of: whether a key is of such a one.
 *)
let needed answers needs ~is_of candidates =
  let there key = state_of answers key <> Pins.Gone in
  if not (opens needs there) then []
  else
    List.filter (fun candidate ->
      not (opens needs (fun key -> there key && not (is_of candidate key))))
      candidates

(* Lists of guests by server or key, which are filled from the last guest to the
 * first.
 *)
let add table name guest =
  let guests = Option.value (Hashtbl.find_opt table name) ~default:[] in
  Hashtbl.replace table name (guest :: guests)

let find table name = Option.value (Hashtbl.find_opt table name) ~default:[]

let latest times =
  let later a b = if a = None || (b <> None && b > a) then b else a in
  List.fold_left later None times

let reached_of answers keys =
  let said key = Option.map snd (Hashtbl.find_opt answers key) in
  let heard = List.filter_map said keys in
  let answered (said : Pins.said) =
    match said.state with
    | Advertised | Rotated | Gone | Unadvertised -> true
    | Unknown | Not_asked -> false in
  let silent (said : Pins.said) = said.state = Unknown in
  if List.exists answered heard then Answers
  else
    match List.find_opt silent heard with
    | Some said -> Silent said.trouble
    | None -> Nobody_asked

let rank state =
  let rec position i = function
    | [] -> i
    | s :: rest -> if s = state then i else position (i + 1) rest in
  position 0 Pins.states

let by_need (a : key) (b : key) =
  let order (k : key) =
    rank k.state, - List.length k.guests, k.key.url, k.key.kid in
  compare (order a) (order b)

let make guests =
  let answers = answers guests in
  let servers = Hashtbl.create 32 and alone = Hashtbl.create 32 in
  let users = Hashtbl.create 64 and needed_by = Hashtbl.create 64 in
  let of_server = Hashtbl.create 32 in
  let count (guest : Records.guest) =
    let needs = needs guest in
    let keys =
      List.sort_uniq compare
        (List.concat_map (List.concat_map Pins.keys) needs) in
    let names =
      List.sort_uniq compare (List.map (fun key -> key.Pins.server) keys) in
    List.iter (fun key ->
      if not (Hashtbl.mem users key) then add of_server key.Pins.server key;
      add users key guest.name) keys;
    List.iter (fun server -> add servers server guest.name) names;
    List.iter (fun key -> add needed_by key guest.name)
      (needed answers needs keys ~is_of:( = ));
    List.iter (fun server -> add alone server guest.name)
      (needed answers needs names
         ~is_of:(fun server key -> key.Pins.server = server)) in
  List.iter count (List.rev guests);
  let key_of key =
    let heard = Hashtbl.find_opt answers key in
    { key;
      state = state_of answers key;
      signed = Option.fold ~none:true ~some:(fun (_, s) -> s.Pins.signed) heard;
      asked = Option.map fst heard;
      guests = find users key;
      needed_by = find needed_by key } in
  let server_of server guests =
    let keys = find of_server server in
    let expiry key =
      Option.bind (Hashtbl.find_opt answers key)
        (fun (_, said) -> said.Pins.expiry) in
    let asked key = Option.map fst (Hashtbl.find_opt answers key) in
    { server; guests;
      alone = find alone server;
      reached = reached_of answers keys;
      asked = latest (List.map asked keys);
      expiry = List.find_map expiry keys;
      keys = List.sort by_need (List.map key_of keys) } in
  let all =
    Hashtbl.fold (fun server guests all -> server_of server guests :: all)
      servers [] in
  let order t = - List.length t.alone, - List.length t.guests, t.server in
  List.sort (fun a b -> compare (order a) (order b)) all

let alone servers =
  let table = Hashtbl.create 256 in
  List.iter (fun t -> List.iter (fun g -> Hashtbl.replace table g ()) t.alone)
    servers;
  Hashtbl.mem table

let to_bind (key : key) = if Pins.is_old key.state then key.guests else []

let guests_to_bind servers =
  let of_server t = List.concat_map to_bind t.keys in
  List.sort_uniq compare (List.concat_map of_server servers)
