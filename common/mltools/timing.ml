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

let spent = Hashtbl.create 16

let get step = Option.value (Hashtbl.find_opt spent step) ~default:0.

let add step seconds = Hashtbl.replace spent step (get step +. seconds)

(* Steps under way, the innermost first, and since when the innermost one has
 * the time to itself.
 *)
let under_way = ref []
let since = ref (Messages.elapsed ())

let account () =
  let now = Messages.elapsed () in
  let seconds = Float.max 0. (now -. !since) in
  (match !under_way with
   | step :: _ -> add step seconds
   | [] -> if Hashtbl.length spent = 0 then add Start now);
  since := now

let step step f =
  account ();
  under_way := step :: !under_way;
  let finally () =
    account ();
    under_way := List.tl !under_way in
  Fun.protect ~finally f

let move seconds ~from ~into =
  account ();
  let seconds = Float.min seconds (get from) in
  if seconds > 0. then (
    add from (-. seconds);
    add into seconds
  )

let steps () =
  account ();
  List.filter_map (fun (step, _) ->
    Option.map (fun seconds -> step, seconds) (Hashtbl.find_opt spent step))
    names

let total = Messages.elapsed

let text () =
  let step (step, seconds) = sprintf "%s %.3f s" (name step) seconds in
  String.concat ", " (List.map step (steps ()))
