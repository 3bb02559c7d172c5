(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --output-keys: write the recovered keys for another program.
 *)

open Printf

open Gettext

type target = {
  file : string;
  format : Key_format.t;
  force : bool;
}

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

let write_arguments ~force file entries =
  let folder = Files.absolute (folder_of_arguments file) in
  let found, distinct = Key_format.numbered entries in
  check_path folder;
  List.iter (fun (entry, _) -> Key_format.check_uuid entry) found;
  write_folder ~force folder distinct;
  let write fd =
    List.iter (fun (entry, n) ->
      Files.write_text fd
        (sprintf "--key\n%s:file:%s/%d\n" entry.Key_format.uuid folder n))
      found in
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
      let lacks_key { Key_format.key; _ } = Option.is_none key in
      if List.for_all lacks_key entries then
        Failure.error (f_"there is no key");
      List.iter (Key_format.check_carried format) entries;
      match format.shape with
      | Folder -> write_folder ~force file (snd (Key_format.numbered entries))
      | Arguments -> write_arguments ~force file entries
      | One_file write when file = "-" -> write Unix.stdout entries
      | One_file write -> write_file ~force file (fun fd -> write fd entries))
  with
  | Unix.Unix_error (code, _, _) ->
     Signals.check ();
     Failure.of_code file code
  | Sys_error message -> Failure.error "%s" message
