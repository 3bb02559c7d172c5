(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Ask at the terminal.
 *)

let with_echo echo f =
  let before = Unix.tcgetattr Unix.stdin in
  let set settings = Unix.tcsetattr Unix.stdin Unix.TCSAFLUSH settings in
  if echo then f ()
  else (
    set { before with c_echo = false; c_echonl = true };
    Fun.protect ~finally:(fun () -> set before) f
  )

let ask ~echo prompt =
  if Unix.isatty Unix.stdin && Unix.isatty Unix.stderr then (
    prerr_string (Escape.text prompt ^ " ");
    flush stderr;
    match with_echo echo (fun () -> input_line stdin) with
    | answer -> Some answer
    | exception End_of_file -> None
  )
  else None
