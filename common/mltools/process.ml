(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Other processes.
 *)

let rec again f =
  try f () with Unix.Unix_error (Unix.EINTR, _, _) -> again f

let wait pid = snd (again (fun () -> Unix.waitpid [] pid))

let succeeds program arguments =
  let null = Unix.openfile "/dev/null" [Unix.O_RDWR; Unix.O_CLOEXEC] 0 in
  Fun.protect ~finally:(fun () -> Unix.close null) (fun () ->
    match
      Unix.create_process program (Array.of_list (program :: arguments))
        null null null
    with
    | pid -> wait pid = Unix.WEXITED 0
    | exception Unix.Unix_error _ -> false)
