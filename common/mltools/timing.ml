(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Where the time goes.
 *)

open Printf

type step =
  | Start
  | Launch
  | Discover
  | Header
  | Exchange
  | Verify
  | Open
  | Rescan
  | Inspect
  | Mount
  | Output
  | Command
  | Shutdown

let names = [
  Start, "start";
  Launch, "launch";
  Discover, "discover";
  Header, "header";
  Exchange, "exchange";
  Verify, "verify";
  Open, "open";
  Rescan, "rescan";
  Inspect, "inspect";
  Mount, "mount";
  Output, "output";
  Command, "command";
  Shutdown, "shutdown";
]

let name step = List.assoc step names

(* Steps under way, the innermost first, and since when the innermost one has
 * the time to itself.
 *)
type context = {
  spent : (step, float) Hashtbl.t;
  mutable under_way : step list;
  mutable since : float;
}

let context () =
  { spent = Hashtbl.create 16; under_way = []; since = Messages.elapsed () }

let main = context ()

(* Of other threads, by their numbers. *)
let others : (int, context) Hashtbl.t = Hashtbl.create 1

let current () =
  Option.value (Hashtbl.find_opt others (Thread.id (Thread.self ())))
    ~default:main

let get { spent; _ } step =
  Option.value (Hashtbl.find_opt spent step) ~default:0.

let add context step seconds =
  Hashtbl.replace context.spent step (get context step +. seconds)

let account context =
  let now = Messages.elapsed () in
  let seconds = Float.max 0. (now -. context.since) in
  (match context.under_way with
   | step :: _ -> add context step seconds
   | [] ->
      if context == main && Hashtbl.length context.spent = 0 then
        add context Start now);
  context.since <- now

let step step f =
  let context = current () in
  account context;
  context.under_way <- step :: context.under_way;
  let finally () =
    account context;
    context.under_way <- List.tl context.under_way in
  Fun.protect ~finally f

let move_in context seconds ~from ~into =
  account context;
  let seconds = Float.min seconds (get context from) in
  if seconds > 0. then (
    add context from (-. seconds);
    add context into seconds
  )

let move seconds ~from ~into = move_in (current ()) seconds ~from ~into

let steps_of context =
  account context;
  List.filter_map (fun (step, _) ->
    Option.map (fun seconds -> step, seconds)
      (Hashtbl.find_opt context.spent step))
    names

let steps () = steps_of main

let clock f =
  let before = Messages.elapsed () in
  let result = f () in
  result, Messages.elapsed () -. before

let apart f =
  let id = Thread.id (Thread.self ()) in
  let context = context () in
  Hashtbl.replace others id context;
  let finally () = Hashtbl.remove others id in
  Fun.protect ~finally (fun () ->
    let result = f () in
    result, steps_of context)

(* The time that was waited has passed only once. *)
let absorb steps ~from ~waited:(waiting, waited) =
  let rec loop waited = function
    | [] -> ()
    | (step, seconds) :: rest ->
       let already = Float.min waited seconds in
       move_in main already ~from:waiting ~into:step;
       move_in main (seconds -. already) ~from ~into:step;
       loop (waited -. already) rest in
  loop waited (List.rev steps)

let total = Messages.elapsed

let text () =
  let step (step, seconds) = sprintf "%s %.3f s" (name step) seconds in
  String.concat ", " (List.map step (steps ()))
