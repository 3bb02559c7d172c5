(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The time when this process has no key any more.
 *)

open Gettext

let check () =
  let bytes = Clevis.memory_used () in
  if bytes > 0 then
    Failure.error (f_"internal error: %d bytes of keys were not released") bytes

(* A keyslot that is still being tried, for a device that is given up, has the
 * key in its memory.  It cannot be ended, but it costs no more than a device
 * may.
 *)
let rec wait_for_verification () =
  if Clevis.Exchange.is_left () then (
    Signals.check ();
    Unix.sleepf 0.05;
    wait_for_verification ()
  )

let wait () =
  wait_for_verification ();
  check ()
