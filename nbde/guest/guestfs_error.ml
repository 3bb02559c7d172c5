(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What libguestfs says of an error, in one line.
 *)

(* "MESSAGE [code=N int1=N]", where libvirt has said something. *)
let without_code line =
  match String.rindex_opt line '[' with
  | Some bracket
       when String.starts_with ~prefix:"[code="
              (String.sub line bracket (String.length line - bracket)) ->
     Some (String.trim (String.sub line 0 bracket))
  | _ -> None

(* "Original error from libvirt: MESSAGE [code=N int1=N]", which may be in another
 * language.
 *)
let of_libvirt line =
  let message text =
    match String.index_opt text ':' with
    | Some colon ->
       String.trim (String.sub text (colon + 1) (String.length text - colon - 1))
    | None -> text in
  Option.map message (without_code line)

let without_stop line =
  if String.ends_with ~suffix:"." line then
    String.sub line 0 (String.length line - 1)
  else line

let line message =
  match String.split_on_char '\n' message with
  | [] -> message
  | first :: others ->
     let first =
       without_stop (Option.value (without_code first) ~default:first) in
     match List.find_map of_libvirt others with
     | Some cause -> Printf.sprintf "%s: %s" first (without_stop cause)
     | None -> first
