(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A clean end on ^C, SIGTERM and SIGHUP.
 *)

exception Interrupted of int

external catch : unit -> unit = "nbde_signals_catch"
external received_signal : unit -> int = "nbde_signals_received" [@@noalloc]
external number : int -> int = "nbde_signals_number" [@@noalloc]
external spare_children : bool -> unit = "nbde_signals_spare_children"
                                           [@@noalloc]
external die_by : int -> unit = "nbde_signals_die"
external note : int -> unit = "nbde_signals_note" [@@noalloc]
external forget : unit -> unit = "nbde_signals_forget" [@@noalloc]
external forward : int -> unit = "nbde_signals_forward" [@@noalloc]

let received () =
  match received_signal () with
  | 0 -> None
  | signal -> Some signal

exception Stopped

(* Threads that are to end, by their numbers. *)
let stopped : (int, unit) Hashtbl.t = Hashtbl.create 1

let is_stopped () =
  Hashtbl.length stopped > 0
  && Hashtbl.mem stopped (Thread.id (Thread.self ()))

let stop thread = Hashtbl.replace stopped (Thread.id thread) ()

let check () =
  match received () with
  | Some signal -> raise (Interrupted signal)
  | None -> if is_stopped () then raise Stopped

let die signal =
  die_by signal;
  (* Not reached unless the signal is blocked. *)
  Stdlib.exit (128 + signal)
