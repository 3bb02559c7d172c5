(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Going to the background.
 *
 * The process forks before it does anything else, and not, as is usual, when
 * all is ready.  libguestfs waits for qemu as for a child: after a later fork
 * it could neither say how qemu has ended nor end it when we are killed (its
 * own guestmount turns both off).  Memory that is locked is not locked in a
 * child, and threads do not survive a fork; so early, there are neither.
 *)

type t = Unix.file_descr        (* where to tell that it is ready *)

type ended =
  | Ready of int
  | Exited of int
  | Interrupted of int
  | Died

type side =
  | Front of ended
  | Back of t

external end_with_parent : bool -> unit = "nbde_background_end_with_parent"
external log : error:bool -> string -> unit = "nbde_background_log"

let in_back = ref false
let is_back () = !in_back

let wait reading pid =
  let byte = Bytes.create 1 in
  match Process.again (fun () -> Unix.read reading byte 0 1) with
  | 1 -> Ready (Char.code (Bytes.get byte 0))
  | _ ->
     match Process.wait pid with
     | WEXITED status when status > 128 -> Interrupted (status - 128)
     | WEXITED status -> Exited status
     | WSIGNALED _ | WSTOPPED _ -> Died

let start () =
  flush_all ();
  let reading, writing = Unix.pipe ~cloexec:true () in
  let parent = Unix.getpid () in
  match Unix.fork () with
  | 0 ->
     in_back := true;
     Signals.catch ();
     Unix.close reading;
     end_with_parent true;
     if Unix.getppid () <> parent then raise (Signals.Interrupted 15);
     Back writing
  | pid ->
     Unix.close writing;
     Signals.spare_children true;
     Signals.forward pid;
     Front (wait reading pid)

let to_null descriptors =
  let null = Unix.openfile "/dev/null" [Unix.O_RDWR] 0 in
  List.iter (Unix.dup2 ~cloexec:false null) descriptors;
  Unix.close null

let leave () =
  ignore (Unix.setsid ());
  Unix.chdir "/";
  to_null [Unix.stdin; Unix.stdout; Unix.stderr]

let ready t ~status =
  flush_all ();
  end_with_parent false;
  Messages.to_log log;
  leave ();
  let written =
    try
      Process.again (fun () ->
        Unix.write t (Bytes.make 1 (Char.chr status)) 0 1)
    with Unix.Unix_error (Unix.EPIPE, _, _) -> 0 in
  Unix.close t;
  (* Whoever started us did not wait. *)
  if written = 0 then raise (Signals.Interrupted 15)
