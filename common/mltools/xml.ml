(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * XML to be written, by xmlm.
 *)

type tree =
  | Element of string * (string * string) list * tree list
  | Text of string

(* Xmlm would put text on lines of its own, too, and so change it. *)
let rec write output ~depth tree =
  let put signal = Xmlm.output output signal in
  let line depth = put (`Data ("\n" ^ String.make (2 * depth) ' ')) in
  match tree with
  | Text text -> put (`Data (Escape.xml text))
  | Element (name, attributes, children) ->
     let attribute (name, value) = ("", name), Escape.xml_attribute value in
     put (`El_start (("", name), List.map attribute attributes));
     let nested = function Element _ -> true | Text _ -> false in
     List.iter (fun child ->
       if nested child then line (depth + 1);
       write output ~depth:(depth + 1) child) children;
     if List.exists nested children then line depth;
     put `El_end

let document root =
  let buffer = Buffer.create 4096 in
  let output = Xmlm.make_output ~nl:true (`Buffer buffer) in
  Xmlm.output output (`Dtd None);
  write output ~depth:0 root;
  Buffer.contents buffer
