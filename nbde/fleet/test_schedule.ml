(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Which guest is next, with servers that are up, down and slow.
 *)

open Printf

open Testing

(* A guest with a device for each of these lists of servers, of which one
 * suffices.
 *)
let needs devices =
  let text s = Json.String s in
  let server url = Json.Dict ["pin", text "tang"; "url", text url] in
  let token servers =
    Json.Dict ["pin", Json.Dict [
      "pin", text "sss"; "threshold", Json.Int 1L;
      "children", Json.List (List.map server servers)]] in
  let device servers =
    Json.Dict ["luks", Json.Dict ["tokens", Json.List [token servers]]] in
  Needs.of_document
    (Json.Dict ["devices", Json.List (List.map device devices)])

let on url = Some (needs [[url]])

let settings =
  { Schedule.parallel = 2; retries = 2; pause = 1.; holds = true }

let show = function
  | Schedule.Start n -> sprintf "start %d" n
  | Give_up (n, url) -> sprintf "give up %d %s" n url
  | Wait None -> "wait"
  | Wait (Some at) -> sprintf "wait %g" at
  | Finished -> "finished"

let t = ref (Schedule.make settings [])

let begin_with ?(settings = settings) guests =
  t := Schedule.make settings (List.mapi (fun i needs -> i, needs) guests)

let next name expected now =
  let after, next = Schedule.next !t ~now in
  t := after;
  text (sprintf "%s, %g" name now) expected (show next)

let nothing = { Needs.reached = []; unreachable = [] }
let reached url = { nothing with Needs.reached = [url] }
let unreachable url = { nothing with Needs.unreachable = [url] }

let ended ?(last = true) now n verdict evidence =
  let after, is_last = Schedule.ended !t ~now n verdict evidence in
  t := after;
  is_true (sprintf "last word of %d" n) (is_last = last)

let () =
  text "servers" "a b"
    (String.concat " " (Needs.servers (needs [["b"; "a"]; ["a"]])));
  let hangs devices down =
    Option.value ~default:"no"
      (Needs.hangs_on (needs devices) ~down:(fun url -> List.mem url down)) in
  text "another server suffices" "no" (hangs [["a"; "b"]] ["a"]);
  text "each device counts" "a" (hangs [["a"; "b"]; ["a"]] ["a"]);
  text "both" "a" (hangs [["a"; "b"]] ["a"; "b"]);
  text "nothing needed" "no" (hangs [] ["a"])

(* Without servers: as many as there may be, in order. *)
let () =
  let none = Some Needs.none in
  begin_with [none; none; none];
  next "order" "start 0" 0.;
  next "order" "start 1" 0.;
  next "no more than two" "wait" 0.;
  ended 1. 1 Verdict.Done nothing;
  next "order" "start 2" 1.;
  ended 2. 0 Verdict.Error nothing;
  ended 2. 2 Verdict.Failed nothing;
  next "end" "finished" 2.

(* What a guest needs is found out first, and then it comes first. *)
let () =
  begin_with [None; on "a"];
  next "unknown" "start 0" 0.;
  is_true "not known" (not (Schedule.is_known !t 0));
  t := Schedule.learned !t 0 (needs [["a"]]);
  next "known" "start 0" 0.;
  is_true "known" (Schedule.is_known !t 0);
  next "a canary is there" "wait" 0.

(* A canary for each server, then everybody. *)
let () =
  begin_with [on "a"; on "a"; on "b"; on "a"];
  next "canary" "start 0" 0.;
  next "not the same server" "start 2" 0.;
  ended 0.1 0 Verdict.Done (reached "a");
  next "free" "start 1" 0.1;
  ended 0.2 1 Verdict.Done (reached "a");
  next "free" "start 3" 0.2

(* Who waits for a server keeps no other from being started. *)
let () =
  begin_with [on "a"; on "b"; on "c"; on "c"; on "c"];
  next "canary" "start 0" 0.;
  next "canary" "start 1" 0.;
  next "full" "wait 0.5" 0.;
  next "patient" "start 2" 1.;
  ended 1.1 2 Verdict.Done (reached "c");
  next "free" "start 3" 1.1;
  next "free" "start 4" 1.1;
  next "full again" "wait" 1.1

(* A server that is down: its guests wait, the others go on, then it is tried
 * again, by one.
 *)
let () =
  begin_with [on "a"; on "a"; on "b"; Some (needs [["a"; "b"]])];
  next "canary" "start 0" 0.;
  next "canary" "start 2" 0.;
  ended ~last:false 1. 0 Verdict.Unreachable (unreachable "a");
  ended 1. 2 Verdict.Done (reached "b");
  next "does not need it" "start 3" 1.;
  next "waits" "wait 2" 1.;
  ended 1.5 3 Verdict.Done (reached "b");
  is_true "not tried again yet" (not (Schedule.is_new_try !t 3));
  next "again" "start 0" 2.;
  is_true "tried again" (Schedule.is_new_try !t 0);
  ended ~last:false 3. 0 Verdict.Unreachable (unreachable "a");
  next "twice the pause" "wait 5" 3.;
  next "again" "start 0" 5.;
  ended 6. 0 Verdict.Unreachable (unreachable "a");
  next "the other is not tried" "give up 1 a" 6.;
  next "end" "finished" 6.

(* It comes back. *)
let () =
  begin_with [on "a"; on "a"; on "a"];
  next "canary" "start 0" 0.;
  ended ~last:false 1. 0 Verdict.Unreachable (unreachable "a");
  next "again" "start 0" 2.;
  next "held" "wait" 2.;
  ended 2.1 0 Verdict.Done (reached "a");
  next "all" "start 1" 2.1;
  next "all" "start 2" 2.1

(* A command may run for hours when its servers have answered, and counts. *)
let () =
  begin_with [on "a"; on "a"; on "a"];
  next "canary" "start 0" 0.;
  next "held" "wait" 0.;
  t := Schedule.heard !t ~now:0.2 0 (reached "a");
  next "free" "start 1" 0.2;
  next "full" "wait" 10.;
  ended 20. 0 Verdict.Command_failed (reached "a");
  next "free" "start 2" 20.

(* Several that find it down together are one failure. *)
let () =
  begin_with [on "a"; on "a"; on "a"];
  next "canary" "start 0" 0.;
  ended 0. 0 Verdict.Done (reached "a");
  next "free" "start 1" 1.;
  next "free" "start 2" 1.;
  ended ~last:false 2. 1 Verdict.Unreachable (unreachable "a");
  ended ~last:false 2. 2 Verdict.Unreachable (unreachable "a");
  next "one second" "wait 3" 2.;
  text "down" "a" (String.concat " " (Schedule.down !t))

(* A canary of two servers waits for one of them: the other one gets a new one. *)
let () =
  begin_with [Some (needs [["a"]; ["hangs"]]); on "a"; on "a"; on "hangs"];
  next "canary of both" "start 0" 0.;
  next "it may be quick" "wait" 0.1;
  next "a new one" "start 1" 0.6;
  next "of the other one, too" "start 3" 0.6;
  ended 0.7 1 Done (reached "a");
  next "that is up" "start 2" 0.7

(* A canary that was killed has found nothing out. *)
let () =
  begin_with [on "a"; on "a"];
  next "canary" "start 0" 0.;
  ended ~last:false 1. 0 Verdict.Killed nothing;
  next "the next is a canary" "start 1" 1.;
  next "it waits" "wait 2" 1.

(* For a preflight, a server that is down is a finding for each guest. *)
let () =
  begin_with ~settings:{ settings with holds = false; retries = 0 }
    [on "a"; on "a"];
  next "canary" "start 0" 0.;
  ended 1. 0 Verdict.Unreachable (unreachable "a");
  next "it finds that, too" "start 1" 1.

(* Everybody comes to an end, whatever the servers do, and never more at a time
 * than there may be.
 *)
let () =
  let random = Random.State.make [| 13 |] in
  let pick list = List.nth list (Random.State.int random (List.length list)) in
  let urls = ["a"; "b"; "c"; "d"] in
  for _ = 1 to 200 do
    let guests =
      List.init 30 (fun _ ->
        Some (needs [List.init 2 (fun _ -> pick urls); [pick urls]])) in
    begin_with guests;
    let words = Hashtbl.create 30 and running = ref [] in
    let finish now n =
      running := List.filter (( <> ) n) !running;
      let url = pick urls in
      let verdict, evidence =
        pick [Verdict.Done, reached url; Verdict.Unreachable, unreachable url;
              Verdict.Killed, nothing; Verdict.Failed, reached url] in
      let after, last = Schedule.ended !t ~now n verdict evidence in
      t := after;
      if last then Hashtbl.add words n () in
    let rec go now steps =
      if steps = 0 then is_true "an end" false
      else (
        let after, next = Schedule.next !t ~now in
        t := after;
        match next with
        | Start n -> running := n :: !running; go now (steps - 1)
        | Give_up (n, _) -> Hashtbl.add words n (); go now (steps - 1)
        | Wait until ->
           if List.length !running > 4 then is_true "too many" false;
           (match !running, until with
            | [], None -> is_true "waits for nothing" false
            | [], Some at -> go at (steps - 1)
            | list, _ -> finish now (pick list); go (now +. 0.01) (steps - 1))
        | Finished -> number "all, once" 30 (Hashtbl.length words)
      ) in
    go 0. 10_000
  done

let () = finish ()
