(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A process that cleans up after us if we are killed.
 *
 * It waits at the other end of a pipe.  What it reads are orders; if it comes
 * to the end without the order to end, we are gone, and it does what they
 * say.  A program that we were about to start keeps the pipe until it is
 * started, so that none comes too late to be found.
 *)

type order =
  | Unmount of { directory : string; before : Mountpoint.mount option }
  | Unmounted
  | Remove of string
  | Remove_pid_file of { file : string; pid : int }
  | End_programs of { mark : Programs.mark; socket : string }
  | Finish

type t = out_channel

(* "...path=FOLDER/SOCKET,..." *)
let folder_of ~socket argument =
  let is_path path =
    Filename.basename path = socket && not (Filename.is_relative path) in
  let after_equal word =
    match String.index_opt word '=' with
    | Some i -> String.sub word (i + 1) (String.length word - i - 1)
    | None -> word in
  let paths = List.map after_equal (String.split_on_char ',' argument) in
  Option.map Filename.dirname (List.find_opt is_path paths)

let is_socket path =
  match Unix.lstat path with
  | { st_kind = Unix.S_SOCK; _ } -> true
  | _ | exception Unix.Unix_error _ -> false

(* Nothing but sockets: the name of a disk may be among the arguments, too. *)
let remove_sockets folder ~socket =
  if is_socket (Filename.concat folder socket) then
    try
      List.iter (fun path -> if is_socket path then Unix.unlink path)
        (List.map (Filename.concat folder)
           (Array.to_list (Sys.readdir folder)));
      Unix.rmdir folder
    with Unix.Unix_error _ | Sys_error _ -> ()

let end_programs mark ~socket =
  List.iter (remove_sockets ~socket)
    (List.filter_map (folder_of ~socket) (Programs.finish mark))

let obey = function
  | Unmount { directory; before } -> Mountpoint.detach directory ~before
  | Remove path -> Files.remove path
  | Remove_pid_file { file; pid } -> Pidfile.remove file pid
  | End_programs { mark; socket } -> end_programs mark ~socket
  | Unmounted | Finish -> ()

let is_unmount = function
  | Unmount _ -> true
  | Unmounted | Remove _ | Remove_pid_file _ | End_programs _ | Finish -> false

(* The latest order is the first to be done. *)
let rec wait channel orders =
  match (input_value channel : order) with
  | Finish -> ()
  | Unmounted ->
     wait channel (List.filter (fun order -> not (is_unmount order)) orders)
  | order -> wait channel (order :: orders)
  | exception (End_of_file | Failure _) -> List.iter obey orders

(* Whoever waits for the end of a pipe that we have inherited shall not wait
 * for this process.
 *)
let close_others kept =
  let close (descriptor, _) =
    if not (List.mem descriptor (Unix.[kept; stdin; stdout; stderr])) then
      try Unix.close descriptor with Unix.Unix_error _ -> () in
  List.iter close (Mountpoint.descriptors ())

let work reading =
  List.iter (fun signal -> Sys.set_signal signal Sys.Signal_ignore)
    [Sys.sigint; Sys.sigterm; Sys.sighup; Sys.sigpipe];
  Background.leave ();
  close_others reading;
  wait (Unix.in_channel_of_descr reading) []

(* A child of the main thread would be ended with the programs of libguestfs
 * (see Signals), so it is a grandchild.
 *)
let fork_twice f =
  let leave status = Unix._exit status in
  match Unix.fork () with
  | 0 ->
     (match Unix.fork () with
      | 0 -> (try f () with _ -> leave 1); leave 0
      | _ -> leave 0
      | exception Unix.Unix_error _ -> leave 1)
  | pid ->
     if Process.wait pid <> WEXITED 0 then
       raise (Unix.Unix_error (Unix.EAGAIN, "fork", ""))

let start () =
  flush_all ();
  let reading, writing = Unix.pipe ~cloexec:true () in
  fork_twice (fun () -> Unix.close writing; work reading);
  Unix.close reading;
  Unix.out_channel_of_descr writing

(* If it is gone, nothing can be done about it. *)
let order t order =
  try
    output_value t (order : order);
    flush t
  with Sys_error _ -> ()

let unmount t directory ~before = order t (Unmount { directory; before })
let unmounted t = order t Unmounted
let remove t path = order t (Remove path)
let remove_pid_file t file pid = order t (Remove_pid_file { file; pid })
let end_programs t mark ~socket = order t (End_programs { mark; socket })
let finish t =
  order t Finish;
  close_out_noerr t
