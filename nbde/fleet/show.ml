(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the user sees of a run.
 *)

open Printf

open Gettext

type guest = {
  name : string;
  verdict : Verdict.t;
  before : bool;
  detail : string;
  seconds : float;
  log : unit -> string;
  json : (string * Json.t) list;
}

type t = {
  action : Guest.action;
  first : int;
  total : int;
  started : float;
  json : out_channel option;
  bar : bool;
  quiet : bool;
  (* Guests that have ended before one in front of them. *)
  early : (int, guest) Hashtbl.t;
  mutable next : int;
  counts : (Verdict.t, int) Hashtbl.t;
  mutable ended : int;          (* in this run *)
  mutable before : int;
  mutable drawn : float;
  mutable visible : bool;       (* the bar *)
}

let clear t =
  if t.visible then (
    prerr_string "\r\027[K";
    flush stderr;
    t.visible <- false
  )

let make action ~first ~total =
  let { Messages.quiet; verbose; machine_readable; _ } = Messages.get () in
  let bar =
    not quiet && not verbose && machine_readable = None
    && Unix.isatty Unix.stderr && Sys.getenv_opt "TERM" <> Some "dumb" in
  let t = {
    action; first; total; started = Children.clock (); json = machine_readable;
    bar; quiet; early = Hashtbl.create 64; next = 0;
    counts = Hashtbl.create 8; ended = 0; before = 0; drawn = 0.;
    visible = false;
  } in
  if bar then Messages.before_text (fun () -> clear t);
  t

let count t verdict =
  Option.value (Hashtbl.find_opt t.counts verdict) ~default:0

let verdicts t = List.filter (fun verdict -> count t verdict > 0) Verdict.all

let counts_text t =
  verdicts t
  |> List.map (fun verdict ->
       sprintf "%d %s" (count t verdict) (Verdict.text verdict))
  |> String.concat ", "

let duration seconds =
  let s = int_of_float (Float.round seconds) in
  if s >= 3600 then sprintf "%d:%02d:%02d" (s / 3600) (s / 60 mod 60) (s mod 60)
  else sprintf "%d:%02d" (s / 60) (s mod 60)

(* As long as those that have ended took, one after the other. *)
let time_left t now =
  let left = t.total - t.before - t.ended in
  if t.ended = 0 then ""
  else
    sprintf (f_"%s left")
      (duration ((now -. t.started) /. float_of_int t.ended
                 *. float_of_int left))

let between = 0.2

let tick t ~running =
  let now = Children.clock () in
  if t.bar && now -. t.drawn >= between then (
    t.drawn <- now;
    let position = Int64.of_int (t.before + t.ended) in
    let bar =
      Progress.bar ~width:26 ~position ~total:(Int64.of_int t.total) in
    let parts =
      List.filter (( <> ) "")
        [counts_text t; sprintf (f_"%d running") running; time_left t now] in
    let line = bar ^ "  " ^ String.concat ", " parts in
    let line =
      if String.length line > Lines.width - 1 then
        String.sub line 0 (Lines.width - 1)
      else line in
    eprintf "\r%s\027[K%!" line;
    t.visible <- true
  )

let number n = Json.Int (Int64.of_int n)

let print_json channel fields =
  try
    output_string channel (Json.to_string (Json.Dict fields) ^ "\n");
    flush channel
  with Sys_error _ -> ()

let json_of_guest t index (guest : guest) =
  ["type", Json.String "guest"; "index", number (t.first + index);
   "before", Json.Bool guest.before] @ guest.json
  @ ["ended", number (t.before + t.ended); "total", number t.total]

(* What is as it should be is not shown again by each run, nor on a terminal,
 * where the bar counts it; a command's words are shown once.
 *)
let is_shown t (guest : guest) =
  match guest.verdict with
  | Done | Unbound ->
     not guest.before && not t.quiet
     && (not t.bar || t.action = Guest.Run || t.action = Guest.List)
  | Error | Failed | Unreachable | Command_failed | Killed -> true

let print_log text =
  if text <> "" then (
    print_string (Escape.lines text);
    if not (String.ends_with ~suffix:"\n" text) then print_newline ()
  )

let print_guest t (guest : guest) =
  if is_shown t guest then (
    clear t;
    let verdict =
      if guest.before then
        sprintf (f_"%s (in an earlier run)") (Verdict.text guest.verdict)
      else Verdict.text guest.verdict in
    let detail = if guest.detail = "" then "" else ": " ^ guest.detail in
    printf "%s: %s%s\n" guest.name verdict detail;
    if t.action = Guest.Run && not guest.before then print_log (guest.log ());
    flush stdout
  )

let rec print_in_order t =
  match Hashtbl.find_opt t.early t.next with
  | Some guest ->
     Hashtbl.remove t.early t.next;
     t.next <- t.next + 1;
     print_guest t guest;
     print_in_order t
  | None -> ()

let guest t index (guest : guest) =
  Hashtbl.replace t.counts guest.verdict (count t guest.verdict + 1);
  if guest.before then t.before <- t.before + 1 else t.ended <- t.ended + 1;
  match t.json with
  | Some channel -> print_json channel (json_of_guest t index guest)
  | None ->
     Hashtbl.replace t.early index guest;
     print_in_order t

let summary_fields t =
  let counts =
    List.map (fun verdict ->
      Verdict.name verdict, number (count t verdict)) Verdict.all in
  ["type", Json.String "summary";
   "action", Json.String (Guest.action_name t.action);
   "guests", number t.total; "before", number t.before;
   "verdicts", Json.Dict counts;
   "seconds", Json.Float (Children.clock () -. t.started)]

(* Those that were never ended have no line. *)
let print_early t =
  let left = Hashtbl.fold (fun index _ list -> index :: list) t.early [] in
  List.iter (fun index ->
    print_guest t (Hashtbl.find t.early index);
    Hashtbl.remove t.early index) (List.sort compare left)

let finish t =
  match t.json with
  | Some channel -> print_json channel (summary_fields t)
  | None ->
     print_early t;
     clear t;
     let before =
       if t.before = 0 then ""
       else sprintf (f_" (%d in earlier runs)") t.before in
     Messages.info "%s"
       (sprintf (fn_ "%d guest, %s: %s%s; %.1f s" "%d guests, %s: %s%s; %.1f s"
                   t.total)
          t.total (Guest.action_name t.action) (counts_text t) before
          (Children.clock () -. t.started))
