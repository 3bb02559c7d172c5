(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Numbers of bytes for people.
 *)

let units = ["KiB"; "MiB"; "GiB"; "TiB"; "PiB"; "EiB"]

(* A size that would round up to 1024 of a unit is 1 of the next. *)
let rec scale n units =
  match units with
  | [] | [_] -> n, units
  | _ when n < 1023.95 -> n, units
  | _ :: larger -> scale (n /. 1024.) larger

let bytes n =
  if Int64.compare n 1024L < 0 then Printf.sprintf "%Ld B" n
  else
    let scaled, rest = scale (Int64.to_float n /. 1024.) units in
    let digits = Printf.sprintf "%.1f" scaled in
    let digits =
      if String.ends_with ~suffix:".0" digits then
        String.sub digits 0 (String.length digits - 2)
      else digits in
    digits ^ " " ^ List.hd rest
