(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the records of a guest come to.
 *)

open Printf

open Gettext

type t =
  | Opens
  | No_spare
  | Not_asked
  | Failed
  | Unreachable
  | Command_failed
  | Error
  | Killed
  | Unbound
  | Damaged

let all =
  [Opens; No_spare; Not_asked; Failed; Unreachable; Command_failed; Error;
   Killed; Unbound; Damaged]

let name = function
  | Opens -> "opens"
  | No_spare -> "opens-with-nothing-to-spare"
  | Not_asked -> "not-asked"
  | Failed -> "failed"
  | Unreachable -> "unreachable"
  | Command_failed -> "command-failed"
  | Error -> "error"
  | Killed -> "killed"
  | Unbound -> "unbound"
  | Damaged -> "damaged"

let text = function
  | Opens -> s_"opens"
  | No_spare -> s_"opens, nothing to spare"
  | Not_asked -> s_"listed, not asked"
  | Failed -> s_"does not open"
  | Unreachable -> s_"no server reached"
  | Command_failed -> s_"command failed"
  | Error -> s_"error"
  | Killed -> s_"killed"
  | Unbound -> s_"no binding"
  | Damaged -> s_"record unreadable"

let advice = function
  | Opens | No_spare -> s_"Nothing to do."
  | Not_asked -> s_"'virt-nbde-fleet preflight' asks the servers."
  | Failed ->
     s_"When the cause is gone, run the same command again with --retry-failed."
  | Unreachable ->
     s_"When the server is back, run the same command again."
  | Command_failed ->
     s_"The guest opens.  The log in the state folder has what the command \
        said."
  | Error ->
     s_"Look at the disk with virt-nbde-unlock, and run the same command again \
        with --retry-failed."
  | Killed ->
     s_"Is there enough memory?  Run the same command again."
  | Unbound ->
     s_"Nothing, if it is not to open by itself.  Otherwise bind it with \
        clevis-luks-bind(1)."
  | Damaged ->
     s_"Remove this file, and run the same command again."

let opens = function
  | Opens | No_spare -> true
  | Not_asked | Failed | Unreachable | Command_failed | Error | Killed
  | Unbound | Damaged -> false

let is_trouble = function
  | Opens | No_spare | Not_asked -> false
  | Failed | Unreachable | Command_failed | Error | Killed | Unbound
  | Damaged -> true

let record (guest : Records.guest) =
  let asks (r : Records.record) = r.action <> Records.List in
  match List.find_opt asks guest.records, guest.records with
  | Some record, _ | None, record :: _ -> Some record
  | None, [] -> None

(* What a preflight has said, whatever was done later. *)
let has_no_spare (guest : Records.guest) =
  let no_spare (device : Records.device) =
    device.preflight = Some "opens-with-nothing-to-spare" in
  List.exists (fun (record : Records.record) ->
    List.exists no_spare (Option.value record.devices ~default:[]))
    guest.records

let of_guest ~alone guest =
  match record guest with
  | None -> Damaged
  | Some record ->
     match record.verdict with
     | Done when record.action = Records.List -> Not_asked
     | Done when alone || has_no_spare guest -> No_spare
     | Done -> Opens
     | Error -> Error
     | Failed -> Failed
     | Unbound -> Unbound
     | Unreachable -> Unreachable
     | Command_failed -> Command_failed
     | Killed -> Killed

(* A device may name 256 servers, and each may fail in its own way. *)
let most_troubles = 5

let rec first n = function
  | trouble :: rest when n > 0 -> trouble :: first (n - 1) rest
  | _ -> []

(* What was printed is most often an error of a device, of which more is known. *)
let distinct troubles =
  let add seen (trouble : Pins.trouble) =
    let same (t : Pins.trouble) = t.line = trouble.line in
    if List.exists same seen then seen else trouble :: seen in
  List.rev (List.fold_left add [] troubles)

(* First what has a hint, which is most often the deciding one. *)
let deciding_first troubles =
  let has_hint (t : Pins.trouble) = t.hint <> None in
  let with_hint, without = List.partition has_hint troubles in
  with_hint @ without

let end_of_child (record : Records.record) =
  match record.verdict, record.command_status, record.signal with
  | Command_failed, Some status, _ ->
     [sprintf (f_"the command ended with status %d") status]
  | Killed, _, Some signal -> [sprintf (f_"ended by signal %d") signal]
  | _, _, _ -> []

let troubles (guest : Records.guest) =
  let damaged =
    List.map (fun (file, reason) -> Pins.plain (sprintf "%s: %s" file reason))
      guest.damaged in
  match record guest with
  | None -> first most_troubles damaged
  | Some record ->
     let of_device (device : Records.device) = device.errors in
     let of_devices =
       List.concat_map of_device (Option.value record.devices ~default:[]) in
     let of_disk = deciding_first (distinct (of_devices @ record.errors)) in
     first most_troubles
       (List.map Pins.plain (end_of_child record) @ of_disk @ damaged)
