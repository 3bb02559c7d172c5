(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * An error with a hint.
 *)

exception Error of { message : string; hint : string option }

let error ?hint fmt =
  Printf.ksprintf (fun message -> raise (Error { message; hint })) fmt
