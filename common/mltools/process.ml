(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * This process and others.
 *)

(* On Unix a file descriptor is its number, and a new one is the lowest that is
 * free.
 *)
external number : Unix.file_descr -> int = "%identity"
external descriptor : int -> Unix.file_descr = "%identity"

let rec open_standard_files () =
  let fd = Unix.openfile "/dev/null" [Unix.O_RDWR] 0 in
  if number fd > 2 then Unix.close fd else open_standard_files ()

external unset : string -> unit = "nbde_process_unset"

let with_variable name value f =
  let before = Sys.getenv_opt name in
  let finally () =
    match before with
    | Some value -> Unix.putenv name value
    | None -> unset name in
  Unix.putenv name value;
  Fun.protect ~finally f

let rec again f =
  try f () with Unix.Unix_error (Unix.EINTR, _, _) -> again f

let wait pid = snd (again (fun () -> Unix.waitpid [] pid))

let succeeds ?stdin program arguments =
  let null = Unix.openfile "/dev/null" [Unix.O_RDWR; Unix.O_CLOEXEC] 0 in
  Fun.protect ~finally:(fun () -> Unix.close null) (fun () ->
    match
      Unix.create_process program (Array.of_list (program :: arguments))
        (Option.value stdin ~default:null) null null
    with
    | pid -> wait pid = Unix.WEXITED 0
    | exception Unix.Unix_error _ -> false)
