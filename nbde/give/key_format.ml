(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How recovered keys are written for other programs.
 *)

open Printf

open Gettext

type entry = {
  device : string;
  kind : Types.kind;
  uuid : string;
  keyslot : int option;
  key : Clevis.Key.t option;
}

type shape =
  | One_file of (Unix.file_descr -> entry list -> unit)
  | Folder
  | Arguments

type t = {
  name : string;
  summary : string;
  carries : char -> bool;
  shape : shape;
}

(* The virt tools look for LUKS on these only, and ask for them in this
 * order.
 *)
let rank entry =
  match entry.kind with
  | Types.Partition -> Some 0
  | Logical_volume -> Some 1
  | Whole_disk | Md_array | Mapped -> None

(* Lines that are not asked for do no harm at the end, where they are never
 * read; before it they would be taken for the key of another device.
 *)
let write_lines ~instead fd entries =
  let asked, others = List.partition (fun e -> rank e <> None) entries in
  let missing = List.filter (fun entry -> Option.is_none entry.key) asked in
  (match missing with
   | [] -> ()
   | { device; _ } :: _ ->
      Failure.error
        ~hint:(sprintf (f_"Give its key by --key %s:file:FILE, or use %s, \
                           which can do without it.") device instead)
        (f_"%s has no key, so the lines of the keys after it would be taken \
            for others") device);
  let asked = List.stable_sort (fun a b -> compare (rank a) (rank b)) asked in
  let write_line i key =
    if i > 0 then Files.write_text fd "\n";
    Clevis.Key.write key fd in
  List.iteri write_line
    (List.filter_map (fun entry -> entry.key) (asked @ others))

(* What the virt tools can read from a file, of which some take the first line
 * only.
 *)
let is_of_line byte = byte <> '\n' && byte <> '\000'

let lines = {
  name = "lines";
  summary = s_"one key a line";
  carries = is_of_line;
  shape =
    One_file
      (write_lines ~instead:"--output-keys-format dir|args|secret|json");
}

(* Devices that share a key share its number: pairs of entry and number, in
 * order.
 *)
let numbered entries =
  let number (found, distinct) entry =
    match entry.key with
    | None -> found, distinct
    | Some key ->
       match
         List.find_opt (fun (other, _) -> Clevis.Key.equal key other) distinct
       with
       | Some (_, n) -> (entry, n) :: found, distinct
       | None ->
          let n = List.length distinct in
          (entry, n) :: found, (key, n) :: distinct in
  let found, distinct = List.fold_left number ([], []) entries in
  List.rev found, List.rev distinct

let dir = {
  name = "dir";
  summary = s_"a folder of files, one for each key";
  carries = (fun _ -> true);
  shape = Folder;
}

let arguments = {
  name = "args";
  summary = s_"options --key, and a folder of files beside them";
  carries = is_of_line;
  shape = Arguments;
}

(* Kubernetes gives back the bytes that were encoded. *)
let write_secret fd entries =
  Files.write_text fd
    "apiVersion: v1\nkind: Secret\nmetadata:\n  name: luks-keys\n\
     type: Opaque\ndata:\n";
  List.iter (fun (key, n) ->
    Files.write_text fd (sprintf "  \"%d\": " n);
    Clevis.Key.write_base64 key fd;
    Files.write_text fd "\n") (snd (numbered entries))

let secret = {
  name = "secret";
  summary = s_"a Secret of Kubernetes";
  carries = (fun _ -> true);
  shape = One_file write_secret;
}

(* The key goes between two halves of an object, as it never is a string. *)
let write_json fd entries =
  let write i (entry, key) =
    let fields =
      Json.to_string (Dict [
        "uuid", String entry.uuid;
        "device", String entry.device;
        "keyslot",
          (match entry.keyslot with
           | None -> Json.Null
           | Some slot -> Int (Int64.of_int slot));
      ]) in
    Files.write_text fd (if i = 0 then "\n  " else ",\n  ");
    Files.write_text fd (String.sub fields 0 (String.length fields - 1));
    Files.write_text fd ", \"key_base64\": \"";
    Clevis.Key.write_base64 key fd;
    Files.write_text fd "\"}" in
  Files.write_text fd "[";
  List.iteri write
    (List.filter_map (fun entry ->
       Option.map (fun key -> entry, key) entry.key) entries);
  Files.write_text fd "\n]\n"

let json = {
  name = "json";
  summary = s_"a list in JSON";
  carries = (fun _ -> true);
  shape = One_file write_json;
}

let all = [lines; dir; arguments; secret; json]

(* Bytes that some program or format cannot take. *)
let special_bytes = [
  '\n', s_"a newline";
  '\000', s_"a NUL byte";
]

let check_carried format { device; key; _ } =
  let has byte =
    Option.fold ~none:false ~some:(fun key -> Clevis.Key.has_byte key byte)
      key in
  let check (byte, what) =
    if not (format.carries byte) && has byte then
      let others = List.filter (fun other -> other.carries byte) all in
      let advice =
        match others with
        | [] -> ""
        | _ ->
           sprintf (f_"; use --output-keys-format %s")
             (String.concat "|" (List.map (fun other -> other.name) others)) in
      Failure.error
        (f_"the key of %s contains %s, which the format '%s' cannot carry%s")
        device what format.name advice in
  List.iter check special_bytes

let check_uuid { device; uuid; _ } =
  if not (Types.is_uuid uuid) then
    Failure.error (f_"%s: its UUID is none, so that --key cannot name it")
      device

let entries { Types.outcomes; refused } =
  let of_outcome (outcome : Types.outcome) =
    let keyslot =
      Option.map (fun (u : Clevis.Exchange.unlocked) -> u.keyslot)
        (Types.unlocked outcome) in
    { device = outcome.device.name; kind = outcome.device.kind;
      uuid = outcome.device.info.uuid; keyslot; key = Types.key outcome } in
  let of_refused (refused : Types.refused) =
    { device = refused.name; kind = refused.kind; uuid = ""; keyslot = None;
      key = None } in
  List.map of_outcome outcomes @ List.map of_refused refused
