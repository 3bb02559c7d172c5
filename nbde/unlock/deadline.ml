(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * One deadline for all exchanges of a run.
 *)

open Gettext

type t = {
  policy : Clevis.Policy.t;
  seconds : float;
  mutable used : float;
}

let make policy ~seconds = { policy; seconds; used = 0. }

(* Seconds; an exchange without any time fails as it does when its time is over.
 *)
let least = 0.001

let within t f =
  let left = t.seconds -. t.used in
  if left < least then
    Messages.warning
      (f_"the deadline of %g seconds is over, and there are devices left: \
          --deadline gives more time") t.seconds;
  Clevis.Policy.set_deadline t.policy (max left least);
  let result, seconds = Timing.clock f in
  t.used <- t.used +. seconds;
  result
