(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --output-keys: write the recovered keys for another program.
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

type format = {
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

let formats = [lines; dir; arguments; secret; json]

type target = {
  file : string;
  format : format;
  force : bool;
}

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
      let others = List.filter (fun other -> other.carries byte) formats in
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

let exists file =
  match Unix.lstat file with
  | stat -> Some stat.st_kind
  | exception Unix.Unix_error (Unix.ENOENT, _, _) -> None
  | exception Unix.Unix_error (code, _, _) ->
     Failure.of_code file code

let is_number name =
  name <> "" && String.for_all (fun c -> c >= '0' && c <= '9') name

(* Only what looks like such a folder is replaced. *)
let is_key_folder folder =
  match Sys.readdir folder with
  | names -> Array.for_all is_number names
  | exception Sys_error _ -> false

let refuse_existing file =
  Failure.error (f_"%s: exists (--force replaces it)") file

let check_existing_file ~force file =
  match exists file with
  | None -> ()
  | Some Unix.S_REG when force -> ()
  | Some Unix.S_REG -> refuse_existing file
  | Some _ -> Failure.error (f_"%s: exists and is not a regular file") file

let check_existing_folder ~force folder =
  match exists folder with
  | None -> ()
  | Some Unix.S_DIR when not (is_key_folder folder) ->
     Failure.error (f_"%s: exists and is not a folder of keys") folder
  | Some Unix.S_DIR when force -> ()
  | Some Unix.S_DIR -> refuse_existing folder
  | Some _ -> Failure.error (f_"%s: exists and is not a folder") folder

let folder_of_arguments file = file ^ ".d"

let check_existing { file; force; format } =
  match format.shape with
  | One_file _ -> check_existing_file ~force file
  | Folder -> check_existing_folder ~force file
  | Arguments ->
     check_existing_file ~force file;
     check_existing_folder ~force (folder_of_arguments file)

let check_target target =
  if target.file = "-" then (
    (match target.format.shape with
     | One_file _ -> ()
     | Folder | Arguments ->
        Failure.error (f_"the format '%s' cannot be written to standard output")
          target.format.name);
    if Unix.isatty Unix.stdout then
      Failure.error (f_"keys are not written to a terminal")
  )
  else (
    check_existing target;
    let dir = Filename.dirname target.file in
    try Unix.access dir [Unix.W_OK; Unix.X_OK]
    with Unix.Unix_error (code, _, _) ->
      Failure.of_code target.file code
  )

let write_file ~force file content =
  New_file.write ~replace:force ~check:Signals.check file content

(* Until now nobody else may have put something in its place. *)
let write_folder ~force folder distinct =
  let check () =
    Signals.check ();
    check_existing_folder ~force folder in
  let file (key, n) = string_of_int n, Clevis.Key.write key in
  New_file.write_folder ~check folder (List.map file distinct)

(* A selector has no way to quote anything. *)
let check_path path =
  if String.contains path ':' || String.contains path '\n' then
    Failure.error
      (f_"%s has a ':' or a newline, which no --key can name; use another FILE \
          or --output-keys-format dir") path

let check_uuid { device; uuid; _ } =
  if not (Types.is_uuid uuid) then
    Failure.error (f_"%s: its UUID is none, so that --key cannot name it")
      device

let write_arguments ~force file entries =
  let folder = Files.absolute (folder_of_arguments file) in
  let found, distinct = numbered entries in
  check_path folder;
  List.iter (fun (entry, _) -> check_uuid entry) found;
  write_folder ~force folder distinct;
  let write fd =
    List.iter (fun (entry, n) ->
      Files.write_text fd
        (sprintf "--key\n%s:file:%s/%d\n" entry.uuid folder n)) found in
  try write_file ~force file write
  with e ->
    Files.remove folder;
    raise e

let write { file; format; force } entries =
  let not_written reason =
    sprintf (f_"%s was not written: %s")
      (if file = "-" then s_"standard output" else file) reason in
  try
    Failure.within not_written (fun () ->
      if List.for_all (fun entry -> Option.is_none entry.key) entries then
        Failure.error (f_"there is no key");
      List.iter (check_carried format) entries;
      match format.shape with
      | Folder -> write_folder ~force file (snd (numbered entries))
      | Arguments -> write_arguments ~force file entries
      | One_file write when file = "-" -> write Unix.stdout entries
      | One_file write -> write_file ~force file (fun fd -> write fd entries))
  with
  | Unix.Unix_error (code, _, _) ->
     Signals.check ();
     Failure.of_code file code
  | Sys_error message -> Failure.error "%s" message

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
