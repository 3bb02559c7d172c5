(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Names of open devices.
 *)

open Printf

open Gettext
open Types

let make ~taken ~device ~uuid =
  let name =
    if is_uuid uuid then "luks-" ^ uuid
    else
      let plain = function
        | ('0'..'9' | 'a'..'z' | 'A'..'Z') as c -> c
        | _ -> '-' in
      "luks" ^ String.map plain device in
  let rec first_free n =
    let candidate = if n = 1 then name else sprintf "%s-%d" name n in
    if List.mem candidate taken then first_free (n + 1) else candidate in
  first_free 1

let free ~taken { name = device; info = { uuid; _ }; _ } =
  make ~taken ~device ~uuid

let say (device : device) mapname =
  if mapname <> free ~taken:[] device then
    Messages.warning
      (f_"%s: another device has the same UUID, so this one is opened as %s: \
          are they copies of each other?") device.name mapname

let choose ~taken device =
  let mapname = free ~taken device in
  say device mapname;
  mapname
