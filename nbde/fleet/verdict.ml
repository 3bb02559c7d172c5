(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What became of a guest.
 *)

open Gettext

type t =
  | Done
  | Error
  | Failed
  | Unbound
  | Unreachable
  | Command_failed
  | Killed

let all = [Done; Unbound; Failed; Unreachable; Command_failed; Error; Killed]

let name = function
  | Done -> "done"
  | Error -> "error"
  | Failed -> "failed"
  | Unbound -> "unbound"
  | Unreachable -> "unreachable"
  | Command_failed -> "command-failed"
  | Killed -> "killed"

let of_name text = List.find_opt (fun v -> name v = text) all

let text = function
  | Done -> s_"done"
  | Error -> s_"error"
  | Failed -> s_"failed"
  | Unbound -> s_"unbound"
  | Unreachable -> s_"unreachable"
  | Command_failed -> s_"command failed"
  | Killed -> s_"killed"

let status = function
  | Done -> 0
  | Error | Command_failed | Killed -> 1
  | Failed -> 2
  | Unbound -> 3
  | Unreachable -> 4

(* Unbound guests among others are as they should be. *)
let together verdicts =
  let has status_wanted =
    List.exists (fun v -> status v = status_wanted) verdicts in
  if has 1 then 1
  else if has 2 then 2
  else if has 4 then 4
  else if verdicts <> [] && List.for_all (( = ) Unbound) verdicts then 3
  else 0

let again ~retry_failed = function
  | Done | Unbound -> false
  | Failed | Error | Command_failed -> retry_failed
  | Unreachable | Killed -> true

let passes = function
  | Unreachable | Killed -> true
  | Done | Error | Failed | Unbound | Command_failed -> false
