(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How LUKS devices are to be opened.
 *)

open Gettext

type depth =
  | Look
  | Recover
  | Open of { quick : bool; all : bool }

type place =
  | On_host
  | In_appliance

type t = {
  depth : depth;
  policy : Clevis.Policy.t;
  deadline : Deadline.t;
  place : place;
  given_keys : Given_keys.t;
  may_restart : bool;
  headers : Headers.t;
}

let check_place { place; _ } =
  if place = In_appliance && not (Clevis.In_appliance.is_known ()) then
    Failure.error
      ~hint:(s_"libguestfs has the function from version 1.49.3 on; this \
                program must be built with such a version.")
      (f_"--exchange=appliance: the libguestfs that this program was built \
          with has no clevis_luks_unlock")

let release { given_keys; headers; _ } =
  Given_keys.release_held given_keys;
  Headers.release headers
