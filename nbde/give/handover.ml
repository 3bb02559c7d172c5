(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --run: a command that gets the keys in memory.
 *)

open Printf

open Gettext

type t = {
  command : string list;
  files : (string * Unix.file_descr) list; (* by UUID of the device *)
  stdin : Unix.file_descr option;
}

let keys_word = "{keys}"
let stdin_word = "{stdin}"

let check command =
  match command with
  | name :: _ when name <> keys_word && name <> stdin_word -> ()
  | _ ->
     Options.usage (f_"option --run needs a command after '--'")

(* As execvp(3) looks for it, but before anything else is done. *)
let check_found command =
  let name = List.hd command in
  let places =
    if String.contains name '/' then [name]
    else
      List.map (fun folder -> Filename.concat folder name)
        (String.split_on_char ':'
           (Option.value (Sys.getenv_opt "PATH") ~default:"/bin:/usr/bin")) in
  let can mode path =
    match Unix.access path mode with
    | () -> not (Sys.is_directory path)
    | exception Unix.Unix_error _ -> false in
  let error status code =
    Failure.error ~status "%s: %s" name (Unix.error_message code) in
  if not (List.exists (can [Unix.X_OK]) places) then
    if List.exists (can [Unix.F_OK]) places then error 126 Unix.EACCES
    else error 127 Unix.ENOENT

let memory_file write =
  let fd = Clevis.Memfile.create () in
  try
    write fd;
    Clevis.Memfile.seal fd;
    fd
  with e ->
    Unix.close fd;
    raise e

let prepare command findings =
  let entries = Key_format.entries findings in
  List.iter (Key_format.check_carried Key_format.lines) entries;
  let file (entry : Key_format.entry) =
    let with_key key =
      Key_format.check_uuid entry;
      entry.uuid, memory_file (Clevis.Key.write key) in
    Option.map with_key entry.key in
  let stdin =
    if List.mem stdin_word command then
      Some (memory_file (fun fd ->
        Key_format.write_lines ~instead:keys_word fd entries))
    else None in
  { command; files = List.filter_map file entries; stdin }

let words command keys =
  let option (uuid, fd) =
    ["--key"; sprintf "%s:file:/proc/self/fd/%d" uuid fd] in
  let options = List.concat_map option keys in
  let word = function
    | w when w = keys_word -> options
    | w when w = stdin_word -> []
    | w -> [w] in
  let words = List.concat_map word command in
  if List.mem keys_word command || List.mem stdin_word command then words
  else words @ options

(* In the new process: become the command, or tell why not. *)
let become { files; stdin; _ } words reason =
  try
    Sys.set_signal Sys.sigpipe Sys.Signal_default;
    List.iter (fun (_, fd) -> Unix.clear_close_on_exec fd) files;
    Option.iter (fun fd -> Unix.dup2 ~cloexec:false fd Unix.stdin) stdin;
    Unix.execvp (List.hd words) (Array.of_list words)
  with
  | Unix.Unix_error (code, _, _) ->
     let status = if code = Unix.ENOENT then 127 else 126 in
     let text = Unix.error_message code in
     Files.write_text reason text;
     Unix._exit status
  | _ -> Unix._exit 126

let exit_status = function
  | Unix.WEXITED status -> status
  | WSIGNALED signal | WSTOPPED signal -> 128 + Signals.number signal

(* Why a new process did not become the command; nothing if it did. *)
let read_reason fd =
  let buf = Bytes.create 256 in
  Fun.protect ~finally:(fun () -> Unix.close fd) (fun () ->
    Bytes.sub_string buf 0
      (Process.again (fun () -> Unix.read fd buf 0 (Bytes.length buf))))

let close { files; stdin; _ } =
  List.iter (fun (_, fd) -> Unix.close fd) files;
  Option.iter Unix.close stdin

let run t =
  let keys = List.map (fun (uuid, fd) -> uuid, Process.number fd) t.files in
  let words = words t.command keys in
  let reading, writing = Unix.pipe ~cloexec:true () in
  flush_all ();
  (* What came while the appliance was closed was only noted. *)
  Signals.check ();
  (* In the new process, too, until it is the command. *)
  Signals.spare_children true;
  match Unix.fork () with
  | 0 -> become t words writing
  | pid ->
     Signals.forward pid;
     Unix.close writing;
     close t;
     let reason = read_reason reading in
     let status = exit_status (Process.wait pid) in
     Signals.forget ();
     if reason = "" then status
     else Failure.error ~status "%s: %s" (List.hd words) reason
