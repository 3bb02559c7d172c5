(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Children, what they say, and their end.
 *)

open Gettext

type ended = {
  status : Unix.process_status;
  seconds : float;
  started : float;
  heard : Heard.result;
  late : bool;
}

type ending =
  | Goes_on
  | Asked of float              (* when *)
  | Killed

type t = {
  pid : int;
  started : float;              (* of the time of day *)
  began : float;                (* of the clock *)
  limit : float option;
  heard : Heard.t;
  mutable streams : (Unix.file_descr * Heard.stream) list;
  mutable ending : ending;
  mutable late : bool;
}

(* It may have an appliance to close. *)
let patience = 20.

(* The end of any child can be read here. *)
let watched = lazy (Children.watch ())

let start file words ~limit =
  ignore (Lazy.force watched);
  let out, out_end = Unix.pipe ~cloexec:true () in
  let err, err_end = Unix.pipe ~cloexec:true () in
  let finally () = List.iter Unix.close [out_end; err_end] in
  match
    Fun.protect ~finally (fun () ->
      Children.start file (Array.of_list words) ~stdout:out_end
        ~stderr:err_end)
  with
  | pid ->
     List.iter Unix.set_nonblock [out; err];
     { pid; started = Unix.gettimeofday (); began = Children.clock (); limit; heard = Heard.make ();
       streams = [out, Heard.Stdout; err, Heard.Stderr]; ending = Goes_on;
       late = false }
  | exception Unix.Unix_error (code, _, _) ->
     List.iter Unix.close [out; err];
     Failure.error (f_"%s could not be started: %s") file
       (Unix.error_message code)

let buffer = Bytes.create 65536

let close t fd =
  t.streams <- List.remove_assq fd t.streams;
  Unix.close fd

(* What is there now, once: a child that says much keeps nobody waiting. *)
let hear t (fd, stream) =
  match Unix.read fd buffer 0 (Bytes.length buffer) with
  | 0 -> close t fd; false
  | n -> Heard.hear t.heard stream buffer n; true
  | exception Unix.Unix_error ((EAGAIN | EWOULDBLOCK | EINTR), _, _) -> false

let document t = Heard.document t.heard

let drain_watched fd =
  match Unix.read fd buffer 0 (Bytes.length buffer) with
  | (_ : int) -> ()
  | exception Unix.Unix_error ((EAGAIN | EWOULDBLOCK | EINTR), _, _) -> ()

let stop t =
  match t.ending with
  | Goes_on ->
     Children.kill t.pid Sys.sigterm;
     t.ending <- Asked (Children.clock ())
  | Asked _ | Killed -> ()

let keep_time now t =
  match t.ending, t.limit with
  | Goes_on, Some limit when now -. t.began > limit ->
     t.late <- true;
     stop t
  | Asked at, _ when now -. at > patience ->
     Children.kill ~group:true t.pid Sys.sigkill;
     t.ending <- Killed
  | (Goes_on | Asked _ | Killed), _ -> ()

let wait children ~seconds =
  let now = Children.clock () in
  List.iter (keep_time now) children;
  let watched = Lazy.force watched in
  let fds = List.concat_map (fun t -> List.map fst t.streams) children in
  match Unix.select (watched :: fds) [] [] (Float.max 0. seconds) with
  | exception Unix.Unix_error (EINTR, _, _) -> ()
  | ready, _, _ ->
     if List.memq watched ready then drain_watched watched;
     List.iter (fun t ->
       List.iter (fun (fd, stream) ->
         if List.memq fd ready then ignore (hear t (fd, stream))) t.streams)
       children

(* What it had said before it ended.  What it has started may still have the
 * other end of the pipe, and may say more, so this has an end, too.
 *)
let hear_rest t =
  let rec go (fd, stream) n =
    if n > 0 && hear t (fd, stream) then go (fd, stream) (n - 1) in
  List.iter (fun stream -> go stream 1024) t.streams;
  List.iter (fun (fd, _) -> close t fd) t.streams

let ended t =
  match Process.again (fun () -> Unix.waitpid [Unix.WNOHANG] t.pid) with
  | 0, _ -> None
  | _, status ->
     hear_rest t;
     let seconds = Children.clock () -. t.began in
     Some { status; seconds; started = t.started; heard = Heard.result t.heard;
            late = t.late }
