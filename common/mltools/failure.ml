(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * An error with a hint.
 *)

exception Error of { message : string; hint : string option; status : int }

let error ?hint ?(status = 1) fmt =
  Printf.ksprintf (fun message -> raise (Error { message; hint; status })) fmt

let of_code ?hint name code =
  error ?hint "%s: %s" name (Unix.error_message code)

let within change f =
  try f ()
  with Error { message; hint; status } ->
    raise (Error { message = change message; hint; status })

let status = function
  | Error { status; _ } -> status
  | _ -> 1
