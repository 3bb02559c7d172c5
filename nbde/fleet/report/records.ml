(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The records of a state folder: what became of each guest.
 *)

open Printf

open Gettext

type action = List | Preflight | Keys | Run

let actions = [List; Preflight; Keys; Run]

let action_name = function
  | List -> "list"
  | Preflight -> "preflight"
  | Keys -> "keys"
  | Run -> "run"

type verdict =
  | Done | Error | Failed | Unbound | Unreachable | Command_failed | Killed

let verdicts =
  [Done; Error; Failed; Unbound; Unreachable; Command_failed; Killed]

let verdict_name = function
  | Done -> "done"
  | Error -> "error"
  | Failed -> "failed"
  | Unbound -> "unbound"
  | Unreachable -> "unreachable"
  | Command_failed -> "command-failed"
  | Killed -> "killed"

type device = {
  name : string;
  uuid : string option;
  bound : bool;
  preflight : string option;
  roots : Pins.t list;
  answers : (Pins.key * Pins.said) list;
  errors : Pins.trouble list;
}

type record = {
  action : action;
  verdict : verdict;
  started : float;
  seconds : float;
  tries : int;
  exit_status : int option;
  signal : int option;
  command_status : int option;
  errors : Pins.trouble list;
  devices : device list option;
}

type guest = {
  name : string;
  records : record list;
  damaged : (string * string) list;
}

(* A record that is not as it should be is said to be damaged, and in what. *)
exception Damaged of string

let damaged format = ksprintf (fun reason -> raise (Damaged reason)) format

let string_of name json =
  match Json.member name json with
  | String s -> s
  | _ -> damaged (f_"'%s' is no text") name

let integer name json =
  match Json.member name json with
  | Int n when Int64.abs n < 0x4000_0000L -> Some (Int64.to_int n)
  | Null -> None
  | _ -> damaged (f_"'%s' is no number") name

let seconds_of json =
  match Json.member "seconds" json with
  | Float s when s >= 0. -> s
  | Int n when n >= 0L -> Int64.to_float n
  | _ -> damaged (f_"'%s' is no number") "seconds"

let elements name json = Json.elements (Json.member name json)

(* With --preflight nothing has failed yet: what the servers said is why the
 * device would not open.
 *)
let missing device (key, (said : Pins.said)) : Pins.trouble option =
  match said.state, said.trouble with
  | (Advertised | Rotated | Not_asked), _ -> None
  | _, Some trouble -> Some trouble
  | (Gone | Unadvertised), None ->
     let cause =
       sprintf (f_"%s: the server does not have the key %s") key.Pins.url
         key.kid in
     Some { line = sprintf "%s: %s" device cause; cause;
            hint = Some (s_"Bind the disk anew, with a passphrase that opens \
                            it.") }
  | Unknown, None ->
     let cause = sprintf (f_"%s: no answer") key.url in
     Some { line = sprintf "%s: %s" device cause; cause; hint = None }

let device_of ~keep json =
  let tokens = elements "tokens" (Json.member "luks" json) in
  let usable token = Json.member "stale" token = Json.Null in
  let root token =
    match Json.member "pin" token with
    | Dict _ as pin when usable token -> Some (Pins.of_json ~keep pin)
    | _ -> None in
  let answered token = Pins.answers ~keep (Json.member "pin" token) in
  let unusable token = Pins.errors (Json.member "pin" token) in
  let text name json = Pins.text (Json.member name json) in
  let name = keep (Option.value (text "device" json) ~default:"?") in
  let answers = List.concat_map answered (List.filter usable tokens) in
  let preflight = Option.map keep (text "preflight" json) in
  let errors =
    List.filter_map (Pins.trouble ~message:"line") (elements "errors" json) in
  let said =
    if preflight = Some "does-not-open" then
      List.filter_map (missing name) answers @ List.concat_map unusable tokens
    else [] in
  { name; preflight; answers;
    uuid = text "uuid" (Json.member "luks" json);
    bound = Json.member "bound" json = Bool true;
    roots = List.filter_map root tokens;
    errors = errors @ said }

let printed record document : Pins.trouble list =
  let of_document =
    List.filter_map (Pins.trouble ~message:"message")
      (elements "errors" document) in
  let prefix = Package.name ^ ": error: " in
  let plain line =
    if String.starts_with ~prefix line then
      let n = String.length prefix in
      String.sub line n (String.length line - n)
    else line in
  let line json = Option.map plain (Pins.text json) in
  let known line =
    List.exists (fun (t : Pins.trouble) -> t.line = line) of_document in
  of_document
  @ List.filter_map (fun json ->
      match line json with
      | Some line when not (known line) -> Some (Pins.plain line)
      | Some _ | None -> None) (elements "errors" record)

let verdict_of json =
  let name = string_of "verdict" json in
  match List.find_opt (fun v -> verdict_name v = name) verdicts with
  | Some verdict -> verdict
  | None -> damaged (f_"there is no verdict '%s'") name

let started_of json =
  let text = string_of "started" json in
  match Times.of_rfc3339 text with
  | Some time -> time
  | None -> damaged (f_"'%s' is no time") text

let record ~keep ~name ~action json =
  (match Json.member "version" json with
   | Int 1L -> ()
   | Int n -> damaged (f_"its version is %Ld, this program knows 1") n
   | _ -> damaged (f_"it is no record"));
  if string_of "name" json <> name then damaged (f_"it is another guest's");
  if string_of "action" json <> action_name action then
    damaged (f_"it is another action's");
  let document = Json.member "document" json in
  let devices () =
    List.map (device_of ~keep) (elements "devices" document) in
  { action;
    verdict = verdict_of json;
    started = started_of json;
    seconds = seconds_of json;
    tries = Option.value (integer "tries" json) ~default:0;
    exit_status = integer "exit_status" json;
    signal = integer "signal" json;
    command_status = integer "command_status" json;
    errors = printed json document;
    devices = if document = Null then None else Some (devices ()) }

let parse ~keep ~name ~action text =
  match Json.of_string text with
  | exception Json.Invalid { line; column; reason } ->
     Result.Error (sprintf "%d:%d: %s" line column reason)
  | json ->
     try Ok (record ~keep ~name ~action json)
     with Damaged reason -> Result.Error reason

(* No document is that long, unless --inspect has named many packages. *)
let longest_record = 64 * 1024 * 1024

let read_file file =
  match Unix.lstat file with
  | { st_kind = S_REG; st_size; _ } when st_size <= longest_record ->
     let channel = open_in_bin file in
     Fun.protect ~finally:(fun () -> close_in_noerr channel) (fun () ->
       really_input_string channel st_size)
  | { st_kind = S_REG; _ } -> damaged (f_"it is too long")
  | _ -> damaged (f_"it is no regular file")

let read_record ~keep ~name ~action file =
  try parse ~keep ~name ~action (read_file file) with
  | Damaged reason | Sys_error reason -> Result.Error reason
  | End_of_file -> Result.Error (s_"it is being written")
  | Unix.Unix_error (code, _, _) -> Result.Error (Unix.error_message code)

let action_of file =
  List.find_opt (fun action -> file = action_name action ^ ".json") actions

(* What begins with a dot is unfinished. *)
let names folder =
  let visible name = not (String.starts_with ~prefix:"." name) in
  List.sort compare (List.filter visible (Array.to_list (Sys.readdir folder)))

let guest ~keep folder name =
  let folder = Filename.concat folder name in
  let add guest file =
    match action_of file with
    | None when Filename.check_suffix file ".json" ->
       { guest with
         damaged = (file, s_"there is no such action") :: guest.damaged }
    | None -> guest
    | Some action ->
       match read_record ~keep ~name ~action (Filename.concat folder file) with
       | Ok record -> { guest with records = record :: guest.records }
       | Error reason ->
          { guest with damaged = (file, reason) :: guest.damaged } in
  let none = { name; records = []; damaged = [] } in
  let guest =
    match names folder with
    | files -> List.fold_left add none files
    | exception Sys_error reason -> { none with damaged = [name, reason] } in
  let newest_first (a : record) (b : record) = compare b.started a.started in
  { guest with records = List.stable_sort newest_first guest.records }

(* Thousands of guests have the same few servers and keys. *)
let keeper () =
  let kept = Hashtbl.create 256 in
  fun s ->
    match Hashtbl.find_opt kept s with
    | Some same -> same
    | None -> Hashtbl.add kept s s; s

let read state =
  let guests = Filename.concat state "guests" in
  match names guests with
  | names ->
     let keep = keeper () in
     let is_empty guest = guest.records = [] && guest.damaged = [] in
     List.filter (fun guest -> not (is_empty guest))
       (List.map (guest ~keep guests) names)
  | exception Sys_error _ ->
     Failure.error (f_"%s is no state folder of virt-nbde-fleet")
       (Escape.text state)
       ~hint:(s_"'virt-nbde-fleet list' and the other actions make it.")
