(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Devices of the appliance that are in use for a moment.
 *)

(* The status that cryptsetup(8) has for a device that is in use, and, should
 * that have changed between its look and its use, what device mapper says.  The
 * latter may have other causes, which then cost the pauses.
 *)
let signs =
  List.map Str.regexp_string
    ["cryptsetup exited with status 5"; "device-mapper: reload ioctl on"]

let contains text sign =
  match Str.search_forward sign text 0 with
  | _ -> true
  | exception Not_found -> false

let is_busy message = List.exists (contains message) signs

(* udev is done in some hundredths of a second, or tenths where the appliance is
 * emulated on a busy host.
 *)
let pauses = [0.1; 0.2; 0.4; 0.8; 0.8]

let again ~pause f =
  let rec attempt = function
    | [] -> f ()
    | seconds :: others ->
       match f () with
       | result -> result
       | exception Guestfs.Error message when is_busy message ->
          pause seconds;
          attempt others in
  attempt pauses
