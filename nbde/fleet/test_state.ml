(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The state folder after runs that were killed: between the record and its line in
 * the journal, before the record, in the middle of a line.
 *)

open Testing

let guest = {
  Guest.name = "web"; domain = None; options = [];
  disks = [{ path = "/1"; format = Some "raw" }];
}

let document =
  Json.of_string
    {|{"devices": [{"device": "/dev/sda", "luks": {"uuid": "u"},
        "state": "opened", "unlocked_by":
          {"token": 0, "keyslot": 1, "servers": ["http://a"]}}]}|}

let record ?(verdict = Verdict.Done) tries = {
  Record.guest; action = Keys; asked = Json.Null; started = 0.; seconds = 1.5;
  tries; exit_status = Some 0; signal = None; verdict; command_status = None;
  errors = []; document;
}

let lines folder =
  let text = read_file (Filename.concat folder "journal") in
  List.map Json.of_string
    (List.filter (( <> ) "") (String.split_on_char '\n' text))

let events folder =
  String.concat " "
    (List.map (fun line ->
       match Json.member "event" line, Json.member "verdict" line with
       | String event, String verdict -> event ^ ":" ^ verdict
       | String event, _ -> event
       | _ -> "?") (lines folder))

(* Open, do something, close; as a run does. *)
let in_state folder f =
  let state = State.open_folder Alone folder in
  Fun.protect ~finally:(fun () -> State.close state) (fun () -> f state)

let with_state f =
  in_folder (fun folder -> f (Filename.concat folder "state"))

let tries table =
  Option.value (Hashtbl.find_opt table "web") ~default:0

let () =
  with_state (fun folder ->
    in_state folder (fun state ->
      State.begun state guest Keys ~tries:1;
      State.save state (record 1) ~log:"what it said");
    text "as it should be" "begin end:done" (events folder);
    in_state folder (fun state ->
      number "tries" 1 (tries (State.repair state Keys));
      text "log" "what it said" (State.log_text state "web" Keys);
      let summary =
        Option.bind (State.record state "web" Keys)
          (Record.read ~same:(Some (guest, Json.Null))) in
      is_true "record"
        (match summary with
         | Some { verdict = Done; tries = 1; document = found; _ } ->
            found = document
         | Some _ | None -> false);
      let other = { guest with disks = [] } in
      is_true "of other disks"
        (Option.bind (State.record state "web" Keys)
           (Record.read ~same:(Some (other, Json.Null))) = None));
    text "nothing to repair" "begin end:done" (events folder);
    let device =
      match Json.member "devices" (List.nth (lines folder) 1) with
      | List [device] -> device
      | _ -> Json.Null in
    text "who opened it"
      ({|{"device": "/dev/sda", "uuid": "u", "state": "opened", "token": 0, |}
       ^ {|"keyslot": 1, "servers": ["http://a"]}|}) (Json.to_string device))

(* Killed before the record. *)
let () =
  with_state (fun folder ->
    in_state folder (fun state -> State.begun state guest Keys ~tries:1);
    in_state folder (fun state ->
      number "tries" 1 (tries (State.repair state Keys)));
    text "killed" "begin end:killed" (events folder);
    in_state folder (fun state -> ignore (State.repair state Keys));
    text "once" "begin end:killed" (events folder))

(* Killed between the record and the line: it was done. *)
let () =
  with_state (fun folder ->
    in_state folder (fun state ->
      State.begun state guest Keys ~tries:1;
      State.save state (record 1) ~log:"");
    let journal = Filename.concat folder "journal" in
    let first = List.hd (String.split_on_char '\n' (read_file journal)) in
    (* And in the middle of the line. *)
    write_file journal (first ^ "\n{\"time\": \"2026");
    in_state folder (fun state -> ignore (State.repair state Keys));
    text "done" "begin end:done" (events folder))

(* The record of an earlier try says nothing of this one. *)
let () =
  with_state (fun folder ->
    in_state folder (fun state ->
      State.begun state guest Keys ~tries:1;
      State.save state (record ~verdict:Verdict.Unreachable 1) ~log:"";
      State.begun state guest Keys ~tries:2);
    in_state folder (fun state ->
      number "tries" 2 (tries (State.repair state Keys)));
    text "the second try" "begin end:unreachable begin end:killed"
      (events folder))

(* Unfinished files go, what children knew of servers goes, the rest stays. *)
let () =
  with_state (fun folder ->
    in_state folder (fun state -> State.save state (record 1) ~log:"x");
    let ( / ) = Filename.concat in
    write_file (folder / "keys" / ".virt-nbde-unlock-1") "half a key";
    write_file (folder / "guests" / "web" / ".virt-nbde-unlock-2") "half";
    Unix.mkdir (folder / "servers") 0o700;
    in_state folder ignore;
    is_true "no half key"
      (not (Sys.file_exists (folder / "keys" / ".virt-nbde-unlock-1")));
    text "guest" "keys.json keys.log"
      (String.concat " " (List.sort compare (Array.to_list
         (Sys.readdir (folder / "guests" / "web")))));
    is_true "servers" (not (Sys.file_exists (folder / "servers"))))

(* What a killed run has left is ended, and known by the folder, or by the guest. *)
let () =
  with_state (fun folder ->
    let start state name =
      State.with_marks state name (fun () ->
        Children.start "/bin/sleep" [| "sleep"; "100" |] ~stdout:Unix.stdout
          ~stderr:Unix.stderr) in
    let killed pid = Process.wait pid = Unix.WSIGNALED Sys.sigkill in
    let runs pid = fst (Unix.waitpid [Unix.WNOHANG] pid) = 0 in
    in_state folder (fun state ->
      let one = start state "one" and two = start state "two" in
      State.end_leftovers state ~guest:"one";
      is_true "of one guest" (killed one);
      is_true "not of the other" (runs two);
      State.end_leftovers state;
      is_true "of all" (killed two)))

(* Locks, and folders of something else. *)
let () =
  with_state (fun folder ->
    in_state folder (fun _ ->
      fails "a second run" (fun () -> State.open_folder Alone folder);
      fails "one guest" (fun () -> State.open_folder Shared folder));
    let one = State.open_folder Shared folder in
    let two = State.open_folder Shared folder in
    fails "a whole run" (fun () -> State.open_folder Alone folder);
    State.lock_guest one "web";
    fails "the same guest" (fun () -> State.lock_guest two "web");
    State.lock_guest two "other";
    State.close one;
    State.close two);
  in_folder (fun folder ->
    write_file (Filename.concat folder "letter") "";
    fails "something else" (fun () -> State.open_folder Alone folder);
    write_file (Filename.concat folder "fleet.json") "{\"version\": 2}";
    fails "another version" (fun () -> State.open_folder Alone folder);
    write_file (Filename.concat folder "fleet.json") "{";
    fails "damaged" (fun () -> State.open_folder Alone folder))

let () = finish ()
