(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * HTML, written so that no text of a disk can become markup.
 *)

type t = Buffer.t -> unit

let quote s =
  let buf = Buffer.create (String.length s + 16) in
  let add = function
    | '<' -> Buffer.add_string buf "&lt;"
    | '>' -> Buffer.add_string buf "&gt;"
    | '&' -> Buffer.add_string buf "&amp;"
    | '"' -> Buffer.add_string buf "&quot;"
    | '\'' -> Buffer.add_string buf "&#39;"
    | c -> Buffer.add_char buf c in
  String.iter add s;
  Buffer.contents buf

(* A page of 500 guests must not be megabytes because some disks say so. *)
let longest = 600

(* Never in the middle of a character of UTF-8. *)
let rec start_of_character s i =
  if i > 0 && Char.code s.[i] land 0xc0 = 0x80 then start_of_character s (i - 1)
  else i

let cut s =
  if String.length s <= longest then s
  else String.sub s 0 (start_of_character s longest) ^ "…"

let clean s = quote (cut (Escape.text s))

let text s buf = Buffer.add_string buf (clean s)
let number n buf = Buffer.add_string buf (string_of_int n)
let none _ = ()

(* Those that have no end tag. *)
let is_void = function
  | "meta" | "br" | "use" | "path" -> true
  | _ -> false

let element ?(attributes = []) name children buf =
  let attribute (name, value) = Printf.bprintf buf " %s=\"%s\"" name (clean value) in
  Printf.bprintf buf "<%s" name;
  List.iter attribute attributes;
  Buffer.add_string buf (if name = "path" || name = "use" then "/>" else ">");
  List.iter (fun child -> child buf) children;
  if not (is_void name) then Printf.bprintf buf "</%s>" name;
  (* For those who look at the source. *)
  match name with
  | "tr" | "li" | "p" | "section" | "details" | "table" | "div" | "h2" | "h3"
  | "meta" | "header" | "dl" | "head" | "summary" -> Buffer.add_char buf '\n'
  | _ -> ()

let classed name c children =
  element name ~attributes:["class", c] children

let style css buf = Printf.bprintf buf "<style>\n%s</style>\n" css

let to_string t =
  let buf = Buffer.create 262144 in
  Buffer.add_string buf "<!DOCTYPE html>\n";
  t buf;
  Buffer.contents buf
