(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The journal of a state folder.  Runs of single guests append to it at the
 * same time, so each holds the lock of the file for a line.
 *)

type t = {
  fd : Unix.file_descr;
  user : string;
  host : string;
}

let open_file file =
  let fd =
    Unix.openfile file
      [Unix.O_RDWR; Unix.O_CREAT; Unix.O_APPEND; Unix.O_CLOEXEC] 0o600 in
  let uid = Unix.getuid () in
  let user =
    match Unix.getpwuid uid with
    | { pw_name; _ } -> pw_name
    | exception Not_found -> string_of_int uid in
  { fd; user; host = Unix.gethostname () }

let close { fd; _ } = Unix.close fd

let unlock fd = Unix.lockf fd Unix.F_ULOCK 0

let size fd = (Unix.LargeFile.fstat fd).st_size

(* Where the last whole line ends.  A line is short, so this looks back from the
 * end in small steps.
 *)
let end_of_lines fd =
  let step = 4096L in
  let rec look upto =
    if upto = 0L then 0L
    else (
      let from = Int64.max 0L (Int64.sub upto step) in
      let length = Int64.to_int (Int64.sub upto from) in
      let buf = Bytes.create length in
      ignore (Unix.LargeFile.lseek fd from Unix.SEEK_SET);
      let n = Unix.read fd buf 0 length in
      match Bytes.rindex_from_opt buf (n - 1) '\n' with
      | Some at -> Int64.add from (Int64.of_int (at + 1))
      | None -> look from
    ) in
  look (size fd)

let with_lock fd f =
  ignore (Unix.LargeFile.lseek fd 0L Unix.SEEK_SET);
  Process.again (fun () -> Unix.lockf fd Unix.F_LOCK 0);
  Fun.protect f ~finally:(fun () ->
    ignore (Unix.LargeFile.lseek fd 0L Unix.SEEK_SET);
    unlock fd)

let append { fd; user; host } ~event fields =
  let line =
    Json.Dict ([
      "time", Json.String (Record.time (Unix.gettimeofday ()));
      "event", Json.String event;
    ] @ fields @ [
      "user", Json.String user;
      "host", Json.String host;
      "pid", Json.Int (Int64.of_int (Unix.getpid ()));
    ]) in
  let text = Json.to_string line ^ "\n" in
  with_lock fd (fun () ->
    let good = end_of_lines fd in
    if good <> size fd then Unix.LargeFile.ftruncate fd good;
    try
      if Unix.write_substring fd text 0 (String.length text)
         <> String.length text then
        raise (Unix.Unix_error (Unix.ENOSPC, "write", "journal"));
      Unix.fsync fd
    with e ->
      (* The disk is full: no half line stays. *)
      (try Unix.LargeFile.ftruncate fd good with Unix.Unix_error _ -> ());
      raise e)

type last = {
  tries : int;
  is_open : bool;
}

let note ~action table line =
  match Json.of_string line with
  | exception Json.Invalid _ -> ()
  | json ->
     match
       Json.member "event" json, Json.member "action" json,
       Json.member "guest" json, Json.member "try" json
     with
     | String (("begin" | "end") as event), String other, String guest, Int n
       when other = action ->
        let tries =
          match Hashtbl.find_opt table guest with
          | Some { tries; _ } -> tries
          | None -> 0 in
        Hashtbl.replace table guest
          { tries = max tries (Int64.to_int n); is_open = event = "begin" }
     | _ -> ()

let iter { fd; _ } f =
  ignore (Unix.LargeFile.lseek fd 0L Unix.SEEK_SET);
  let channel = Unix.in_channel_of_descr (Unix.dup ~cloexec:true fd) in
  Fun.protect ~finally:(fun () -> close_in_noerr channel) (fun () ->
    let rec lines () =
      match input_line channel with
      | line -> f line; lines ()
      | exception End_of_file -> () in
    lines ())

let read t ~action =
  let table = Hashtbl.create 1024 in
  iter t (note ~action table);
  table

let run_ended t ~action =
  let ended = ref false in
  iter t (fun line ->
    match Json.of_string line with
    | exception Json.Invalid _ -> ()
    | json ->
       if Json.member "action" json = String action then
         match Json.member "event" json, Json.member "exit_status" json with
         | String "run-begin", _ -> ended := false
         | String "run-end", Int _ -> ended := true
         | _ -> ());
  !ended
