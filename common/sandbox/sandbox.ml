(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The parent's side: what the program says is read until it ends, and it is
 * ended in time.  The child's side is sandbox-c.c.
 *)

type network =
  | No_network
  | Internet
  | All_sockets
  | Accept

type rules = {
  read : string list;
  write : string list;
  network : network;
  processes : bool;
  memory : int;
  seconds : float;
}

type outcome = {
  status : Unix.process_status;
  in_time : bool;
  errors : string;
}

(* As sandbox-c.c reads it. *)
type child = {
  program : string;
  arguments : string array;     (* with the name of the program *)
  readable : string array;
  writable : string array;
  sockets : network;
  with_processes : bool;
  most_memory : int;
  stderr : Unix.file_descr;
  to_give : Unix.file_descr array;
} [@@warning "-unused-field"] (* C uses them *)

external spawn : child -> int = "nbde_sandbox_spawn"
external file_rules : unit -> bool = "nbde_sandbox_file_rules"

(* Where programs, their libraries and their modules are.  Nothing of /proc:
 * the process that this is opened in is not the one that reads it.
 *)
let system = [
  "/bin"; "/sbin"; "/lib"; "/lib32"; "/lib64"; "/usr"; "/gnu/store";
  "/nix/store"; "/etc/ld.so.cache"; "/etc/ld.so.preload"; "/etc/alternatives";
  "/dev/null"; "/dev/zero"; "/dev/urandom";
]

(* A program need not be one of the system. *)
let of_program program =
  let prefix = Filename.dirname (Filename.dirname program) in
  program :: List.map (Filename.concat prefix) ["lib"; "lib64"; "libexec"]

(* What libraries that connect look into.  The socket of an agent needs no
 * rule.
 *)
let for_network () =
  List.map (Filename.concat "/etc") [
    "ca-certificates"; "crypto-policies"; "gai.conf"; "host.conf"; "hosts";
    "nsswitch.conf"; "passwd"; "pki"; "resolv.conf"; "services"; "ssh"; "ssl";
  ]
  @ ["/run/systemd/resolve"]
  @ match Sys.getenv_opt "HOME" with
    | Some home -> [Filename.concat home ".ssh"]
    | None -> []

let find_program program =
  let folders =
    List.filter ((<>) "")
      (String.split_on_char ':'
         (Option.value (Sys.getenv_opt "PATH") ~default:"")) in
  let is_program name =
    match Unix.access name [Unix.X_OK] with
    | () -> true
    | exception Unix.Unix_error _ -> false in
  if String.contains program '/' then program
  else
    (* Not one of the current folder. *)
    let candidates = List.map (fun f -> Filename.concat f program) folders in
    match List.find_opt is_program candidates with
    | Some program -> program
    | None -> raise (Unix.Unix_error (ENOENT, "sandbox", program))

let enough_memory = 1024 * 1024 * 1024

let most_errors = 65536

(* How long a signal waits until it is seen. *)
let tick = 0.2

let read_some fd =
  let buf = Bytes.create 4096 in
  match Unix.select [fd] [] [] tick with
  | [], _, _ -> None
  | _ -> Some (Bytes.sub_string buf 0 (Unix.read fd buf 0 (Bytes.length buf)))
  | exception Unix.Unix_error (Unix.EINTR, _, _) -> None

(* Until all who have the other end are gone. *)
let rec drain fd errors ~deadline =
  Signals.check ();
  if Unix.gettimeofday () > deadline then false
  else
    match read_some fd with
    | Some "" -> true
    | Some text ->
       let room = most_errors - Buffer.length errors in
       Buffer.add_string errors (String.sub text 0 (min room (String.length text)));
       drain fd errors ~deadline
    | None -> drain fd errors ~deadline

let kill pid = try Unix.kill pid Sys.sigkill with Unix.Unix_error _ -> ()

let end_at_once pid =
  kill pid;
  ignore (Process.wait pid)

(* Nobody has its standard error any more, but it may be there. *)
let rec wait pid ~deadline =
  Signals.check ();
  match Process.again (fun () -> Unix.waitpid [Unix.WNOHANG] pid) with
  | 0, _ when Unix.gettimeofday () > deadline ->
     kill pid;
     false, Process.wait pid
  | 0, _ ->
     Unix.sleepf 0.002;
     wait pid ~deadline
  | _, status -> true, status

type process = {
  pid : int;
  said : Unix.file_descr;       (* the other end of its standard error *)
}

(* Only what connects looks for names and certificates. *)
let for_sockets = function
  | No_network | Accept -> []
  | Internet | All_sockets -> for_network ()

let start rules ~given program arguments =
  let program = find_program program in
  let reading, writing = Unix.pipe ~cloexec:true () in
  match
    Fun.protect ~finally:(fun () -> Unix.close writing) (fun () ->
      spawn {
        program;
        arguments = Array.of_list (program :: arguments);
        readable =
          Array.of_list (
            of_program program @ system @ rules.read
            @ for_sockets rules.network);
        writable = Array.of_list ("/dev/null" :: rules.write);
        sockets = rules.network;
        with_processes = rules.processes;
        most_memory = rules.memory;
        stderr = writing;
        to_give = Array.of_list given;
      })
  with
  | pid -> { pid; said = reading }
  | exception e ->
     Unix.close reading;
     raise e

let stop { pid; said } =
  Unix.close said;
  end_at_once pid

let finish { pid; said } ~seconds =
  Fun.protect ~finally:(fun () -> Unix.close said) (fun () ->
    let errors = Buffer.create 256 in
    let deadline = Unix.gettimeofday () +. seconds in
    match
      if not (drain said errors ~deadline) then kill pid;
      wait pid ~deadline
    with
    | alive_in_time, status ->
       let in_time = alive_in_time && Unix.gettimeofday () <= deadline in
       { status; in_time; errors = Buffer.contents errors }
    | exception e ->
       end_at_once pid;
       raise e)

let run rules program arguments =
  finish (start rules ~given:[] program arguments) ~seconds:rules.seconds

let succeeded outcome = outcome.in_time && outcome.status = Unix.WEXITED 0
