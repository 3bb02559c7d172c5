(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * An action, for all guests: starts children as the schedule says, and keeps
 * what becomes of them.
 *)

type settings = {
  action : Guest.action;
  guests : Guest.t array;
  command : Command.settings;
  schedule : Schedule.settings;
  retry_failed : bool;
  timeout : float option;
}

(* A child, for a guest, and the action that it is for: what a guest needs is
 * found by a [list].
 *)
type job = {
  index : int;
  action : Guest.action;
  tries : int;
  child : Child.t;
  mutable heard : bool;         (* what it has found of servers *)
}

type t = {
  settings : settings;
  state : State.t;
  show : Show.t;
  tried : (string, int) Hashtbl.t;          (* in all runs, by name *)
  listed : (string, int) Hashtbl.t;
  mutable schedule : Schedule.t;
  mutable jobs : job list;
}

let now = Children.clock

let log_of t name action () = State.log_text t.state name action

let strings = function
  | Json.List list ->
     List.filter_map (function Json.String s -> Some s | _ -> None) list
  | _ -> []

let show_before t index (guest : Guest.t) (s : Record.summary) =
  let action = t.settings.action in
  let fields = match s.line with Json.Dict fields -> fields | _ -> [] in
  Show.guest t.show index {
    name = guest.name; verdict = s.verdict; before = true;
    detail =
      Ending.detail action s.document
        ~errors:(strings (Json.member "errors" s.line));
    seconds = 0.; log = (fun () -> ""); json = fields;
  }

let show_record t index (record : Record.t) =
  let fields =
    match Record.to_json { record with document = Json.Null } with
    | Json.Dict fields -> List.remove_assoc "document" fields
    | _ -> [] in
  Show.guest t.show index {
    name = record.guest.name; verdict = record.verdict; before = false;
    detail = Ending.detail record.action record.document ~errors:record.errors;
    seconds = record.seconds;
    log = log_of t record.guest.name record.action;
    json = fields;
  }

let tries_of table name =
  Option.value (Hashtbl.find_opt table name) ~default:0

let table_of t action =
  if action = t.settings.action then t.tried else t.listed

let start t index action =
  let guest = t.settings.guests.(index) in
  let table = table_of t action in
  let tries = tries_of table guest.name + 1 in
  Hashtbl.replace table guest.name tries;
  State.begun t.state guest action ~tries;
  if Schedule.is_new_try t.schedule index then State.forget_down t.state;
  let replace =
    action = Guest.Keys
    && Earlier.may_replace t.settings.command t.state guest in
  let words = Command.words t.settings.command action ~replace guest in
  Messages.debug "%s: %s" guest.name (String.concat " " words);
  let child =
    State.with_marks t.state guest.name (fun () ->
      Child.start t.settings.command.program words ~limit:t.settings.timeout) in
  t.jobs <- { index; action; tries; child; heard = false } :: t.jobs

(* What a record is about. *)
let plain t index action =
  { Ending.guest = t.settings.guests.(index); action;
    asked = Command.asked t.settings.command action }

let final t index record =
  if record.Record.action = t.settings.action then show_record t index record

let nothing_found = { Needs.reached = []; unreachable = [] }

(* What a child has found of servers, for others. *)
let needs_of t index document =
  if Earlier.has_own_servers t.settings.guests.(index) then Needs.none
  else Needs.of_document document

let evidence_of t index document =
  if Earlier.has_own_servers t.settings.guests.(index) then nothing_found
  else Needs.evidence document

(* One that did not end by itself has left what its command has started. *)
let end_others t job (ended : Child.ended) =
  match ended.status with
  | WSIGNALED _ | WSTOPPED _ ->
     State.end_leftovers t.state ~guest:t.settings.guests.(job.index).name
  | WEXITED _ ->
     if ended.late then
       State.end_leftovers t.state ~guest:t.settings.guests.(job.index).name

let note_end t job (ended : Child.ended) =
  end_others t job ended;
  let record =
    Ending.record (plain t job.index job.action) ~tries:job.tries ended in
  State.save t.state record ~log:ended.heard.log;
  if job.action <> t.settings.action then
    t.schedule <-
      Schedule.learned t.schedule job.index
        (needs_of t job.index record.document)
  else (
    let schedule, is_last =
      (* A guest that took too long does not take that long again now. *)
      Schedule.ended t.schedule ~last:ended.late ~now:(now ()) job.index
        record.verdict (evidence_of t job.index record.document) in
    t.schedule <- schedule;
    if is_last then final t job.index record
  )

(* It was not tried: somebody else has found that in vain. *)
let give_up t index url =
  let guest = t.settings.guests.(index) in
  let record =
    Ending.given_up (plain t index t.settings.action)
      ~tries:(tries_of t.tried guest.name) url in
  State.save t.state record ~log:"";
  final t index record

(* Children that have ended, in the order in which they were started. *)
let reap t =
  List.iter (fun job ->
    match Child.ended job.child with
    | Some ended ->
       t.jobs <- List.filter (fun other -> other != job) t.jobs;
       note_end t job ended
    | None -> ()) (List.rev t.jobs)

(* A command may run for hours after servers have answered. *)
let hear t =
  List.iter (fun job ->
    if job.action = Guest.Run && not job.heard then
      Option.iter (fun document ->
        job.heard <- true;
        t.schedule <-
          Schedule.heard t.schedule ~now:(now ()) job.index
            (evidence_of t job.index document))
        (Child.document job.child)) t.jobs

(* A signal may come before the wait begins, so that is never long. *)
let longest_wait = 0.5

let wait t until =
  let seconds =
    match until with
    | Some at -> Float.min longest_wait (at -. now ())
    | None -> longest_wait in
  Child.wait (List.map (fun job -> job.child) t.jobs) ~seconds;
  reap t;
  hear t

let action_for t index =
  if Schedule.is_known t.schedule index then t.settings.action else Guest.List

let rec go_on t =
  Signals.check ();
  Show.tick t.show ~running:(List.length t.jobs);
  let schedule, next = Schedule.next t.schedule ~now:(now ()) in
  t.schedule <- schedule;
  match next with
  | Start index ->
     start t index (action_for t index);
     go_on t
  | Give_up (index, url) ->
     give_up t index url;
     go_on t
  | Wait until ->
     wait t until;
     go_on t
  | Finished -> ()

(* What they have not done is done by the next run. *)
let end_children t =
  let name job = t.settings.guests.(job.index).Guest.name in
  let names = List.map name t.jobs in
  List.iter (fun job -> Child.stop job.child) t.jobs;
  let rec wait () =
    t.jobs <- List.filter (fun job -> Child.ended job.child = None) t.jobs;
    if t.jobs <> [] then (
      Child.wait (List.map (fun job -> job.child) t.jobs) ~seconds:0.5;
      wait ()
    ) in
  if t.jobs <> [] then (
    wait ();
    List.iter (fun name -> State.end_leftovers t.state ~guest:name) names
  )

(* What servers and disks were like is asked anew, unless a run that was to ask did
 * not come to its end.
 *)
let lasts = function
  | Guest.List | Preflight -> false
  | Keys | Run -> true

let goes_on (settings : settings) state =
  lasts settings.action || not (State.run_ended state settings.action)

let is_finished (settings : settings) (s : Record.summary) =
  not (Verdict.again ~retry_failed:settings.retry_failed s.verdict)

let make (settings : settings) state ~show ~tried ~listed = {
  settings; state; show; tried; listed;
  schedule = Schedule.make settings.schedule []; jobs = [];
}

(* Nothing of the documents of earlier runs is kept but what guests need. *)
let sort_out t =
  let goes_on = goes_on t.settings t.state in
  let todo index guest =
    match Earlier.record t.settings.command t.state t.settings.action guest with
    | Some s when goes_on && is_finished t.settings s ->
       show_before t index guest s;
       None
    | Some _ | None ->
       Some (index,
             Earlier.needs t.settings.command t.state t.settings.action guest)
  in
  Array.to_list (Array.mapi todo t.settings.guests)
  |> List.filter_map Fun.id

let run_event t event more =
  State.note t.state ~event
    (["action", Json.String (Guest.action_name t.settings.action);
      "guests", Json.Int (Int64.of_int (Array.length t.settings.guests))]
     @ more)

(* Whatever goes wrong, no child is left, and then ending is called. *)
let protected t ~ending f =
  try f () with e ->
    let trace = Printexc.get_raw_backtrace () in
    end_children t;
    ending ();
    Show.finish t.show;
    Printexc.raise_with_backtrace e trace

let all (settings : settings) state =
  State.end_leftovers state;
  let total = Array.length settings.guests in
  let tried = State.repair state settings.action in
  let listed =
    if settings.action = Guest.List then tried
    else State.repair state Guest.List in
  let t =
    make settings state ~tried ~listed
      ~show:(Show.make settings.action ~first:0 ~total) in
  let ending () =
    (* A disk that is full has no room for this, either. *)
    try run_event t "run-end" ["exit_status", Json.Null]
    with Failure.Error _ -> () in
  protected t ~ending (fun () ->
    t.schedule <- Schedule.make settings.schedule (sort_out t);
    run_event t "run-begin" [];
    go_on t;
    let status = Verdict.together (Show.verdicts t.show) in
    run_event t "run-end" ["exit_status", Json.Int (Int64.of_int status)];
    Show.finish t.show;
    status)

(* Whoever starts it again wants it to be tried again. *)
let one (settings : settings) state index =
  let guest = settings.guests.(index) in
  State.lock_guest state guest.name;
  State.end_leftovers state ~guest:guest.name;
  let tried = State.repair state settings.action ~guest:guest.name in
  let show = Show.make settings.action ~first:index ~total:1 in
  let t = make settings state ~show ~tried ~listed:tried in
  let before = Earlier.record settings.command state settings.action guest in
  match before with
  | Some ({ verdict = Done | Unbound; _ } as s)
       when lasts settings.action ->
     show_before t 0 guest s;
     Verdict.status s.verdict
  | Some _ | None ->
     let t = { t with settings = { settings with guests = [| guest |] } } in
     protected t ~ending:ignore (fun () ->
       t.schedule <-
         Schedule.make { settings.schedule with retries = 0 }
           [0, Some Needs.none];
       go_on t;
       Verdict.together (Show.verdicts t.show))
