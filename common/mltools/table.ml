(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Columns of text on standard output.
 *)

(* The wider of two rows of widths, which may differ in length. *)
let rec widest a b =
  match a, b with
  | [], rest | rest, [] -> rest
  | x :: a, y :: b -> max x y :: widest a b

let pad cell width =
  cell ^ String.make (max 0 (width - Escape.width cell)) ' '

(* The last cell of a row is not padded. *)
let rec join cells widths =
  match cells, widths with
  | [], _ -> ""
  | [cell], _ | cell :: _, [] -> cell
  | cell :: cells, width :: widths -> pad cell width ^ "  " ^ join cells widths

let lines ?(indent = 0) rows =
  let rows = List.map (List.map Escape.text) rows in
  let widths =
    List.fold_left widest [] (List.map (List.map Escape.width) rows) in
  List.map (fun cells -> Lines.indent indent (join cells widths)) rows
