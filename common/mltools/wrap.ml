(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Text broken into lines.
 *)

(* Lines in reverse; used is the width of the last, with what stands before
 * it.
 *)
let break ~width ~indent ~first text =
  let add (lines, used) word =
    let columns = Escape.width word in
    match lines with
    | [] -> [word], first + columns
    | line :: lines when used + 1 + columns <= width ->
       (line ^ " " ^ word) :: lines, used + 1 + columns
    | lines -> word :: lines, indent + columns in
  let words =
    List.filter (fun word -> word <> "") (String.split_on_char ' ' text) in
  List.rev (fst (List.fold_left add ([], first) words))

let lines ~width text = break ~width ~indent:0 ~first:0 text

let paragraph ~width ~indent ~first text =
  String.concat ("\n" ^ String.make indent ' ')
    (break ~width ~indent ~first text)
