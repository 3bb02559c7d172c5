(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The text that LVM2 keeps its metadata in.
 *)

open Gettext

module Names = Map.Make (String)

type value =
  | Number of int
  | Text of string
  | List of value list
  | Section of section

and section = value Names.t

(* LVM's own has five. *)
let deepest = 8

(* So that a number fits, and sums of some do. *)
let most_digits = 18

let odd () = Unknown.because (f_"LVM metadata that cannot be read")

type reader = { s : string; mutable at : int }

let peek r = if r.at < String.length r.s then r.s.[r.at] else '\000'
let skip r = r.at <- r.at + 1

let rec skip_line r =
  match peek r with
  | '\n' | '\000' -> ()
  | _ -> skip r; skip_line r

let rec skip_space r =
  match peek r with
  | ' ' | '\t' | '\n' | '\r' -> skip r; skip_space r
  | '#' -> skip_line r; skip_space r
  | _ -> ()

(* The next character that means something. *)
let next r = skip_space r; peek r

let expect r c = if next r = c then skip r else odd ()

let rec skip_while r holds =
  if holds (peek r) then (skip r; skip_while r holds)

let taken r holds =
  let from = r.at in
  skip_while r holds;
  String.sub r.s from (r.at - from)

let is_digit c = c >= '0' && c <= '9'

let is_of_name = function
  | 'a'..'z' | 'A'..'Z' | '0'..'9' | '_' | '.' | '+' | '-' -> true
  | _ -> false

let name r =
  match taken r is_of_name with
  | "" -> odd ()
  | name -> name

let number r =
  let sign = if peek r = '-' then (skip r; -1) else 1 in
  let digits = taken r is_digit in
  if digits = "" || String.length digits > most_digits || is_of_name (peek r)
  then odd ();
  Number (sign * int_of_string ("0u" ^ digits))

let quoted r =
  let text = Buffer.create 64 in
  let rec loop () =
    let c = peek r in
    if r.at >= String.length r.s then odd ();
    skip r;
    match c with
    | '"' -> ()
    | '\\' ->
       if r.at >= String.length r.s then odd ();
       Buffer.add_char text (peek r);
       skip r;
       loop ()
    | c -> Buffer.add_char text c; loop () in
  skip r;
  loop ();
  Buffer.contents text

let rec value r depth =
  if depth > deepest then odd ();
  match next r with
  | '"' -> Text (quoted r)
  | '[' -> skip r; List (elements r depth [])
  | _ -> number r

and elements r depth found =
  match next r with
  | ']' -> skip r; List.rev found
  | _ ->
     let element = value r (depth + 1) in
     if next r = ',' then skip r else if peek r <> ']' then odd ();
     elements r depth (element :: found)

(* Up to its end, which is the end of the text for the outermost one. *)
let rec section r depth found =
  if depth > deepest then odd ();
  match next r with
  | '}' when depth > 0 -> skip r; found
  | '\000' when depth = 0 && r.at = String.length r.s -> found
  | _ ->
     let name = name r in
     if Names.mem name found then odd ();
     let value =
       match next r with
       | '{' -> skip r; Section (section r (depth + 1) Names.empty)
       | _ -> expect r '='; value r depth in
     section r depth (Names.add name value found)

let parse s = section { s; at = 0 } 0 Names.empty

let find section name = Names.find_opt name section

type kind = A_number | A_text | A_list | A_section

let is_a kind value =
  match kind, value with
  | A_number, Number n -> n >= 0
  | A_text, Text _ | A_list, List _ | A_section, Section _ -> true
  | _ -> false

let check section ~needed ~allowed =
  let known = Names.of_seq (List.to_seq (needed @ allowed)) in
  List.iter (fun (name, _) ->
    if not (Names.mem name section) then
      Unknown.because (f_"LVM metadata without %s") name) needed;
  Names.iter (fun name value ->
    match Names.find_opt name known with
    | Some kind when is_a kind value -> ()
    | Some _ | None ->
       Unknown.because (f_"LVM metadata with the name %s") (Escape.text name))
    section

let sections section =
  List.filter_map (function
    | name, Section inner -> Some (name, inner)
    | _ -> None) (Names.bindings section)

let number section name =
  match find section name with
  | Some (Number n) when n >= 0 -> n
  | Some _ | None -> odd ()

let text section name =
  match find section name with
  | Some (Text text) -> text
  | Some _ | None -> odd ()

let inner section name =
  match find section name with
  | Some (Section inner) -> inner
  | Some _ | None -> odd ()

let words section name =
  match find section name with
  | None -> []
  | Some (List values) ->
     List.map (function Text text -> text | _ -> odd ()) values
  | Some _ -> odd ()
