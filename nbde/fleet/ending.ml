(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the end of a child means.
 *)

open Printf

open Gettext

type about = {
  guest : Guest.t;
  action : Guest.action;
  asked : Json.t;
}

(* With [run], the child's status is that of the command, once keys are there. *)
let judge action status document problem =
  let of_status = function
    | 0 when document = Json.Null -> Verdict.Error
    | 0 -> Done
    | 2 -> Failed
    | 3 -> Unbound
    | 4 -> Unreachable
    | _ -> Error in
  let had_keys =
    action = Guest.Run && Json.member "exit_status" document = Json.Int 0L in
  match status with
  | Unix.WSIGNALED _ | WSTOPPED _ -> Verdict.Killed
  | WEXITED _ when problem <> None -> Error
  | WEXITED 0 -> of_status 0
  | WEXITED _ when had_keys -> Command_failed
  | WEXITED n when action = Guest.Run && document = Json.Null && n <> 1 ->
     Error
  | WEXITED n -> of_status n

let record { guest; action; asked } ~tries (ended : Child.ended) : Record.t =
  let { Heard.document; problem; errors; _ } = ended.heard in
  let verdict =
    if ended.late then Verdict.Killed
    else judge action ended.status document problem in
  let exit_status, signal =
    match ended.status with
    | WEXITED n -> Some n, None
    | WSIGNALED n | WSTOPPED n -> None, Some (Signals.number n) in
  let missing =
    match problem, document, verdict with
    | _ when ended.late -> Some (s_"it was ended, since it took too long")
    | None, Json.Null, Error when exit_status = Some 0 ->
       Some (s_"it has printed no document")
    | _ -> problem in
  { guest; action; asked; tries;
    started = ended.started; seconds = ended.seconds;
    exit_status; signal; verdict;
    command_status =
      (match verdict, action with
       | (Done | Command_failed), Guest.Run -> exit_status
       | _ -> None);
    errors = Option.to_list missing @ errors;
    document }

let given_up { guest; action; asked } ~tries url : Record.t =
  { guest; action; asked; tries;
    started = Unix.gettimeofday (); seconds = 0.;
    exit_status = None; signal = None;
    verdict = Unreachable; command_status = None;
    errors = [sprintf (f_"not tried: the server %s could not be reached")
                (Escape.text url)];
    document = Json.Null }

let first_error = function
  | error :: _ -> error
  | [] -> ""

let message json =
  match Json.member "line" json, Json.member "message" json with
  | String text, _ | Null, String text -> [Escape.text text]
  | _ -> []

(* Why the pins of a tree do not answer, as a preflight has found it. *)
let rec complaints pin =
  let preflight = Json.member "preflight" pin in
  let own =
    match Json.member "key" preflight, Json.member "url" pin with
    | String "gone", String url ->
       [sprintf (f_"%s does not have the key any more") (Escape.text url)]
    | _ -> message (Json.member "error" preflight) in
  own @ message (Json.member "error" pin)
  @ List.concat_map complaints (Json.elements (Json.member "children" pin))

let complaints_of document =
  let of_token token =
    message (Json.member "error" token)
    @ complaints (Json.member "pin" token) in
  let of_device device =
    if Json.member "preflight" device = String "does-not-open" then
      List.concat_map of_token
        (Json.elements (Json.member "tokens" (Json.member "luks" device)))
    else [] in
  List.concat_map of_device (Json.elements (Json.member "devices" document))

(* For people: what is wrong, or which servers a guest has. *)
let detail action ~errors document =
  match errors, action with
  | _ :: _, _ -> first_error errors
  | [], Guest.List ->
     String.concat ", "
       (List.map Escape.text (Needs.servers (Needs.of_document document)))
  | [], Preflight -> first_error (complaints_of document)
  | [], (Keys | Run) -> ""
