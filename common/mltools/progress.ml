(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A progress bar on standard error, or numbers for programs.
 *)

open Printf

let bar ~width ~position ~total =
  let part =
    if Int64.compare total 0L <= 0 then 0.
    else Int64.to_float position /. Int64.to_float total in
  let part = Float.min 1. (Float.max 0. part) in
  let percent = sprintf "%3.0f%%" (100. *. part) in
  let inside = max 1 (width - String.length percent - 3) in
  let filled = int_of_float (part *. float_of_int inside) in
  sprintf "[%s%s] %s" (String.make filled '#')
    (String.make (inside - filled) '-') percent

let shown = ref false

let clear () =
  if !shown then (
    prerr_string "\r\027[K";
    flush stderr;
    shown := false
  )

(* The bar that is complete vanishes: the next message tells what follows. *)
let draw ~position ~total =
  if position = total then clear ()
  else (
    eprintf "\r%s\027[K%!" (bar ~width:72 ~position ~total);
    shown := true
  )

let show _event _handle _buffer numbers =
  match numbers with
  | [| _procedure; _serial; position; total |] ->
     if not (Messages.progress ~position ~total) then draw ~position ~total
  | _ -> ()

let wanted () =
  let { Messages.quiet; verbose; machine_readable; _ } = Messages.get () in
  not quiet
  && (machine_readable <> None
      || Unix.isatty Unix.stderr && not verbose
         && Sys.getenv_opt "TERM" <> Some "dumb")

let attach (g : Guestfs.guestfs) =
  if wanted () then (
    Messages.before_text clear;
    ignore (g#set_event_callback show [Guestfs.EVENT_PROGRESS])
  )
