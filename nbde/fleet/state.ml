(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The state folder.
 *)

open Gettext

type t = {
  folder : string;
  id : string;
  lock : Unix.file_descr;
  journal : Journal.t;
}

type use =
  | Alone
  | Shared

let ( / ) = Filename.concat

(* The system's words for what could not be done, and that nothing is lost. *)
let guarded folder f =
  try f () with
  | Unix.Unix_error (code, _, file) ->
     let name = if file = "" || file = "journal" then folder else file in
     Failure.of_code name code
       ~hint:(s_"Nothing that was done is lost: when there is room again, the \
                 same command goes on.")
  | Sys_error reason ->
     Failure.error "%s" reason
       ~hint:(s_"Nothing that was done is lost: the same command goes on.")

let make_folder folder =
  try
    Unix.mkdir folder 0o700;
    New_file.sync_folder (Filename.dirname folder)
  with Unix.Unix_error (EEXIST, _, _) -> ()

let write file content =
  New_file.write ~replace:true ~check:ignore file (fun fd ->
    Files.write_text fd content)

(* As New_file names them, here and in children. *)
let is_unfinished name =
  String.starts_with ~prefix:("." ^ Package.name ^ "-") name

let names folder =
  try Array.to_list (Sys.readdir folder) with Sys_error _ -> []

(* What a run that was killed has left: also keys, of which no half file is
 * ever used.
 *)
let remove_unfinished folder =
  List.iter (fun name ->
    if is_unfinished name then Files.remove (folder / name)) (names folder)

let remove_all_unfinished folder =
  remove_unfinished folder;
  remove_unfinished (folder / "keys");
  List.iter (fun name -> remove_unfinished (folder / "guests" / name))
    (names (folder / "guests"))

let read_file file =
  match open_in_bin file with
  | exception Sys_error _ -> None
  | channel ->
     Fun.protect ~finally:(fun () -> close_in_noerr channel) (fun () ->
       match really_input_string channel (in_channel_length channel) with
       | text -> Some text
       | exception (Sys_error _ | End_of_file) -> None)

(* Of the folder, wherever it is moved to. *)
let new_id () =
  let channel = open_in_bin "/dev/urandom" in
  let bytes =
    Fun.protect ~finally:(fun () -> close_in channel) (fun () ->
      really_input_string channel 16) in
  Digest.to_hex bytes

let about id = Json.Dict [
  "version", Json.Int 1L;
  "program", Json.String (Package.program ());
  "program_version", Json.String Package.version;
  "id", Json.String id;
]

let id_of folder =
  let file = folder / "fleet.json" in
  match Option.map Json.of_string (read_file file) with
  | Some about ->
     (match Json.member "version" about, Json.member "id" about with
      | Int 1L, String id -> Some id
      | _ ->
         Failure.error
           (f_"%s: it was made by another version of this program") folder)
  | None -> None
  | exception Json.Invalid _ -> Failure.error (f_"%s: it is damaged") file

(* Nobody's pictures are to lie between keys.  Another run may just be making the
 * folder: where there is anything else, fleet.json was there before, so it is
 * looked for once more.
 *)
let check_kind folder =
  match id_of folder with
  | Some id -> Some id
  | None ->
     let other name = not (is_unfinished name || name = "lock") in
     let others = List.exists other (names folder) in
     match id_of folder with
     | None when others ->
        Failure.error
          (f_"%s: it is not empty, and no state folder of this program") folder
     | found -> found

(* Several runs of single guests may begin at the same time: the first file that is
 * there counts for all.
 *)
let make_id folder =
  (try
     New_file.write ~replace:false ~check:ignore (folder / "fleet.json")
       (fun fd ->
          Files.write_text fd (Json.to_string (about (new_id ())) ^ "\n"))
   with Unix.Unix_error (EEXIST, _, _) -> ());
  Option.get (check_kind folder)

let take_lock use folder =
  let fd =
    Unix.openfile (folder / "lock")
      [Unix.O_RDWR; Unix.O_CREAT; Unix.O_CLOEXEC] 0o600 in
  if not (Children.lock ~shared:(use = Shared) ~wait:false fd) then (
    Unix.close fd;
    Failure.error (f_"%s: another run works in it") folder
      ~hint:(s_"Wait for its end, or use another folder.")
  );
  fd

(* Whoever else could write there would say what is removed, what is written over,
 * and what counts as done.
 *)
let check_owner name { Unix.st_uid; st_perm; _ } =
  if st_uid <> Unix.geteuid () && st_uid <> 0 then
    Failure.error (f_"%s: it belongs to another user") name;
  if st_perm land 0o022 <> 0 then
    Failure.error (f_"%s: others may write to it") name
      ~hint:(s_"Name another folder, or take that right away: chmod go-w.")

let check_folder folder =
  let stat = Unix.stat folder in
  if stat.st_kind <> S_DIR then Failure.error (f_"%s: is not a folder") folder;
  check_owner folder stat

let check_own kind name =
  match Unix.lstat name with
  | stat ->
     if stat.st_kind <> kind then
       Failure.error (f_"%s: is not what this program has made there") name;
     check_owner name stat
  | exception Unix.Unix_error (ENOENT, _, _) -> ()

let check_private folder =
  check_folder folder;
  List.iter (fun name -> check_own S_DIR (folder / name))
    ["guests"; "keys"; "servers"];
  List.iter (fun name -> check_own S_REG (folder / name))
    ["fleet.json"; "journal"; "lock"]

let prepare_keys use folder =
  guarded folder (fun () ->
    make_folder folder;
    check_folder folder;
    if use = Alone then remove_unfinished folder)

let open_folder use folder =
  let folder = Files.absolute folder in
  guarded folder (fun () ->
    make_folder folder;
    check_private folder;
    let known = check_kind folder in
    let lock = take_lock use folder in
    if use = Alone then (
      if known <> None then remove_all_unfinished folder;
      (* What the last run knew of servers is old. *)
      Files.remove (folder / "servers")
    );
    (* First: a run that is killed here leaves nothing that is not known. *)
    let id =
      match known with
      | Some id -> id
      | None -> make_id folder in
    List.iter (fun name -> make_folder (folder / name)) ["guests"; "keys"];
    let journal = Journal.open_file (folder / "journal") in
    New_file.sync_folder folder;
    { folder; id; lock; journal })

let mark_of_folder { id; _ } =
  { Programs.variable = "VIRT_NBDE_FLEET_STATE"; value = id }

let mark_of_guest { id; _ } name =
  { Programs.variable = "VIRT_NBDE_FLEET_GUEST"; value = id ^ "/" ^ name }

let with_marks t name f =
  let set { Programs.variable; value } f =
    Process.with_variable variable value f in
  set (mark_of_folder t) (fun () -> set (mark_of_guest t name) f)

(* Janitors of virt-nbde-unlock that are cleaning up get the time to do so; commands
 * go at once.
 *)
let leftover_seconds = 3.

let end_leftovers ?guest t =
  let mark =
    match guest with
    | Some name -> mark_of_guest t name
    | None -> mark_of_folder t in
  let is_ours = function
    | name :: _ -> name = Package.name
    | [] -> false in
  ignore (Programs.finish ~spare:is_ours mark);
  if not (Programs.wait mark ~seconds:leftover_seconds) then
    ignore (Programs.finish mark)

let keys_folder { folder; _ } = folder / "keys"
let servers_folder { folder; _ } = folder / "servers"

(* See virt-nbde-unlock(1), "Many runs at a time". *)
let forget_down t =
  let servers = servers_folder t in
  List.iter (fun server ->
    let folder = servers / server in
    List.iter (fun name ->
      if String.starts_with ~prefix:"down-" name then
        Files.remove (folder / name)) (names folder)) (names servers)

let guest_folder { folder; _ } name = folder / "guests" / name

let file t name action suffix =
  guest_folder t name / (Guest.action_name action ^ suffix)

let record t name action = read_file (file t name action ".json")

let log_text t name action =
  Option.value (read_file (file t name action ".log")) ~default:""

(* Written before the keys: however a run ends, these are known as ours then. *)
let place_file t name = guest_folder t name / "keys.place"

let is_place_of_keys t name place =
  read_file (place_file t name) = Some place

let note_place_of_keys t name place =
  guarded t.folder (fun () ->
    make_folder (guest_folder t name);
    write (place_file t name) place)

let lock_guest t name =
  guarded t.folder (fun () ->
    make_folder (guest_folder t name);
    let fd =
      Unix.openfile (guest_folder t name / "lock")
        [Unix.O_RDWR; Unix.O_CREAT; Unix.O_CLOEXEC] 0o600 in
    if not (Children.lock ~wait:false fd) then
      Failure.error (f_"%s: another run works on this guest") name)

let note t ~event fields =
  guarded t.folder (fun () -> Journal.append t.journal ~event fields)

let text s = Json.String s
let number n = Json.Int (Int64.of_int n)

let begun t (guest : Guest.t) action ~tries =
  note t ~event:"begin" [
    "action", text (Guest.action_name action);
    "guest", text guest.name;
    "try", number tries;
  ]

(* Of the fields of a record. *)
let end_fields ~guest ~action ~tries ~verdict ~exit_status document = [
  "action", text (Guest.action_name action);
  "guest", text guest;
  "try", number tries;
  "verdict", text (Verdict.name verdict);
  "exit_status", exit_status;
  "devices", Record.devices document;
]

let is_tried (record : Record.t) =
  record.exit_status <> None || record.signal <> None

(* That a guest is done does not depend on what it has said. *)
let save_log file log =
  try if log <> "" then write file log else Files.remove file
  with Unix.Unix_error (code, _, _) ->
    Messages.warning "%s: %s" file (Unix.error_message code)

let save t (record : Record.t) ~log =
  let name = record.guest.name and action = record.action in
  guarded t.folder (fun () ->
    make_folder (guest_folder t name);
    write (file t name action ".json")
      (Json.to_string ~indent:true (Record.to_json record) ^ "\n"));
  save_log (file t name action ".log") log;
  note t ~event:(if is_tried record then "end" else "give-up")
    (end_fields ~guest:name ~action ~tries:record.tries ~verdict:record.verdict
       ~exit_status:(Option.fold ~none:Json.Null ~some:number
                       record.exit_status)
       record.document)

(* A record that was written is the end of the last try; without it the child
 * was killed with its parent, or did not get to start.
 *)
let repair_guest t action tried name { Journal.tries; is_open } =
  Hashtbl.replace tried name tries;
  if is_open then
    let summary = Option.bind (record t name action) (Record.read ~same:None) in
    let fields =
      match summary with
      | Some s when s.tries = tries ->
         end_fields ~guest:name ~action ~tries ~verdict:s.verdict
           ~exit_status:(Json.member "exit_status" s.line) s.document
      | Some _ | None ->
         end_fields ~guest:name ~action ~tries ~verdict:Verdict.Killed
           ~exit_status:Json.Null Json.Null in
    Journal.append t.journal ~event:"end"
      (fields @ ["repaired", Json.Bool true])

let repair ?guest t action =
  guarded t.folder (fun () ->
    let tried = Hashtbl.create 1024 in
    Hashtbl.iter (fun name last ->
      if Option.fold ~none:true ~some:(( = ) name) guest then
        repair_guest t action tried name last)
      (Journal.read t.journal ~action:(Guest.action_name action));
    tried)

let run_ended t action =
  guarded t.folder (fun () ->
    Journal.run_ended t.journal ~action:(Guest.action_name action))

let close t =
  Journal.close t.journal;
  Unix.close t.lock
