(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Child processes that end with their parent.
 *)

external clock : unit -> float = "nbde_children_clock"
external watch : unit -> Unix.file_descr = "nbde_children_watch"
external start_child :
  string -> string array -> Unix.file_descr -> Unix.file_descr -> int
  = "nbde_children_start"
external kill_child : int -> bool -> int -> unit = "nbde_children_kill"
external lock_file : Unix.file_descr -> bool -> bool -> bool
  = "nbde_children_lock"

let start file argv ~stdout ~stderr = start_child file argv stdout stderr

let kill ?(group = false) pid signal =
  kill_child pid group (Signals.number signal)

let lock ?(shared = false) ?(wait = true) fd = lock_file fd shared wait
