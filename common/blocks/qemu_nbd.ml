(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * qemu-nbd.  The files of the chain are opened here, so that it is these files that
 * the sandbox lets through, whatever becomes of their names.
 *)

open Printf

open Gettext

type t = {
  process : Sandbox.process;
  files : string array;         (* names, for messages *)
}

let program = "qemu-nbd"

let package_hint =
  s_"qemu-nbd is in the package qemu-utils of Debian, qemu-img of Fedora."

let path_of_number = sprintf "/proc/self/fd/%d"

(* Descriptors of the sandbox: the socket is 3. *)
let first_file = 4

let kind_of fd =
  match (Unix.LargeFile.fstat fd).st_kind with
  | S_REG -> Some false
  | S_BLK -> Some true
  | S_DIR | S_CHR | S_LNK | S_FIFO | S_SOCK -> None

let open_element { Chain.file; block_device; _ } =
  match Chain.open_file file with
  | exception Unix.Unix_error (code, _, _) -> Failure.of_code file code
  | fd when kind_of fd = Some block_device -> fd
  | fd ->
     Unix.close fd;
     Failure.error (f_"%s: is another file than a moment ago") file

let rec with_files elements f =
  match elements with
  | [] -> f []
  | element :: rest ->
     let fd = open_element element in
     Fun.protect ~finally:(fun () -> Unix.close fd) (fun () ->
       with_files rest (fun fds -> f (fd :: fds)))

(* As the program finds the files. *)
let node elements =
  let place i { Chain.block_device; _ } =
    Node.Local { file = path_of_number (first_file + i); block_device } in
  let places = List.mapi place elements in
  List.fold_right2 (fun { Chain.format; _ } place backing ->
    Some (Node.image ?backing format place)) elements places None
  |> Option.get

let rules files = {
  Sandbox.read =
    List.map (fun fd -> path_of_number (Process.number fd)) files;
  write = [];
  network = Accept;
  processes = false;
  memory = Qemu.memory ~images:(List.length files);
  seconds = infinity;
}

let start_with elements listening =
  with_files elements (fun files ->
    Sandbox.start (rules files) ~given:(listening :: files) program
      ["--read-only"; Node.text (node elements)])

let start { Chain.top; backing; _ } =
  let elements = top :: backing in
  try
    let listening, connection = Listener.connected () in
    match
      Fun.protect ~finally:(fun () -> Unix.close listening) (fun () ->
        start_with elements listening)
    with
    | process ->
       let files = List.map (fun { Chain.file; _ } -> file) elements in
       { process; files = Array.of_list files }, connection
    | exception e ->
       Unix.close connection;
       raise e
  with
  | Unix.Unix_error (ENOENT, "sandbox", _) ->
     Failure.error ~hint:package_hint (f_"%s: cannot be read: there is no %s")
       top.file program
  | Unix.Unix_error (code, call, name) ->
     Failure.error (f_"%s: cannot be read: %s: %s %s: %s") top.file program call
       name (Unix.error_message code)

let stop { process; _ } = Sandbox.stop process

(* It knows the files by their numbers. *)
let with_names files text =
  let name text =
    let number = int_of_string (Str.matched_group 1 text) in
    match files.(number - first_file) with
    | file -> Escape.text file
    | exception Invalid_argument _ -> Str.matched_string text in
  Str.global_substitute (Str.regexp "/proc/self/fd/\\([0-9][0-9]?\\)") name text

(* Why there is nothing to read, and what to try. *)
let explain files reason (outcome : Sandbox.outcome) =
  let said f ~otherwise =
    if outcome.errors = "" then otherwise
    else f (with_names files (Qemu.reason outcome.errors)) in
  match outcome.status with
  | WEXITED 127 -> Qemu.reason outcome.errors, package_hint
  | WEXITED 0 | WSIGNALED _ | WSTOPPED _ when not outcome.in_time ->
     sprintf "%s: %s" program reason,
     s_"The storage below it may be slow: try again."
  | WSIGNALED signal ->
     let said = said (sprintf " (%s)") ~otherwise:"" in
     sprintf (f_"%s was ended by signal %d: it may have wanted more time or memory \
                 than it may have%s") program (Signals.number signal) said,
     s_"The image may be damaged."
  | WEXITED _ | WSTOPPED _ ->
     said Fun.id ~otherwise:(with_names files reason),
     s_"It may be damaged, or in the middle of a change by a guest that is \
        running: try again, or copy it anew."

(* How long it may take to end when it has closed the connection. *)
let to_end = 1.

let fail { process; files } reason =
  let outcome = Sandbox.finish process ~seconds:to_end in
  let reason, hint = explain files reason outcome in
  Failure.error ~hint (f_"%s: cannot be read: %s") files.(0) reason
