(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A file with the ID of a process, in a folder where others may write.
 *)

open Printf

open Gettext

(* More than any number of a process has digits, its newline included. *)
let max_size = 24

type found =
  | Nothing
  | Text of string
  | Other_kind                  (* a link, a folder, a FIFO, ... *)

let read descriptor =
  let buffer = Bytes.create (max_size + 1) in
  let n = Unix.read descriptor buffer 0 (Bytes.length buffer) in
  Bytes.sub_string buffer 0 n

(* What was looked at may have been replaced by a link or a FIFO since: do not
 * wait for the other end of one, and read from nothing else.
 *)
let read_same name { Unix.st_dev; st_ino; _ } =
  let descriptor =
    Unix.openfile name [Unix.O_RDONLY; Unix.O_NONBLOCK; Unix.O_CLOEXEC] 0 in
  Fun.protect ~finally:(fun () -> Unix.close descriptor) (fun () ->
    let now = Unix.fstat descriptor in
    if now.st_dev = st_dev && now.st_ino = st_ino then Text (read descriptor)
    else Other_kind)

let find name =
  match Unix.lstat name with
  | { st_kind = Unix.S_REG; _ } as stat -> read_same name stat
  | _ -> Other_kind
  | exception Unix.Unix_error (Unix.ENOENT, _, _) -> Nothing

let is_digit c = c >= '0' && c <= '9'

(* It is empty if its process was killed at the wrong time. *)
let is_number text =
  let digits =
    match String.index_opt text '\n' with
    | Some i when i = String.length text - 1 -> String.sub text 0 i
    | Some _ | None -> text in
  String.length text <= max_size && String.for_all is_digit digits

let check_existing name =
  match find name with
  | Nothing -> ()
  | Text text when is_number text -> ()
  | Text _ ->
     Failure.error (f_"%s: exists and is not a file with a process ID") name
  | Other_kind -> Failure.error (f_"%s: exists and is not a regular file") name

let check name =
  let folder = Filename.dirname name in
  (try Unix.access folder [Unix.W_OK; Unix.X_OK]
   with Unix.Unix_error (code, _, _) -> Failure.of_code folder code);
  try check_existing name
  with Unix.Unix_error (code, _, _) -> Failure.of_code name code

(* A rename replaces a link itself, should one have come in the meantime. *)
let write ~made name pid =
  try
    check_existing name;
    New_file.write ~made ~perms:0o644 ~replace:true ~check:ignore name
      (fun fd -> Files.write_text fd (sprintf "%d\n" pid))
  with
  | Unix.Unix_error (code, _, _) -> Failure.of_code name code
  | Sys_error message -> Failure.error "%s" message

let remove name pid =
  match find name with
  | Text text when text = sprintf "%d\n" pid -> Files.remove name
  | Text _ | Nothing | Other_kind -> ()
  | exception Unix.Unix_error _ -> ()
