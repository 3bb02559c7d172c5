(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The time from which no process has a key any more.
 *)

open Gettext

(* What is still being tried, for a device that was given up, cannot be ended but
 * with the vault.
 *)
let check () =
  let { Clevis.used; is_busy; _ } = Clevis.memory () in
  if used > 0 && not is_busy then
    Failure.error (f_"internal error: %d bytes of keys were not released") used

let from_now_on () =
  check ();
  Clevis.end_vault ()
