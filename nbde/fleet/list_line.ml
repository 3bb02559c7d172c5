(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A line of LIST: JSON if it begins with a brace, else the path of a disk.
 *)

open Printf

open Gettext

(* What is wrong with a line. *)
exception Bad of { column : int; reason : string }

let bad ~column fmt =
  ksprintf (fun reason -> raise (Bad { column; reason })) fmt

(* A guest has 26 disks or so; more than this is no line of LIST. *)
let longest_line = 64 * 1024

(* Where a field stands in a line: jansson knows only where the text is no
 * JSON.
 *)
let column_of line field =
  let quoted = Str.quote (Json.to_string (Json.String field)) in
  match Str.search_forward (Str.regexp (quoted ^ "[ \t]*:")) line 0 with
  | at -> at + 1
  | exception Not_found -> 1

let check_name ~column name =
  match Guest.check_name name with
  | Ok () -> ()
  | Error reason -> bad ~column "%s" reason

let check_path ~column path =
  if path = "" then bad ~column (f_"the path is empty");
  if String.contains path '\000' then bad ~column (f_"the path has a NUL");
  if Escape.utf8 path <> path then bad ~column (f_"the path is not UTF-8")

(* The same disk, whatever the current folder of the next run is. *)
(* In one spelling, so that a disk is known again; links are left as they are. *)
let absolute path =
  if Guest.is_uri path then path
  else
    let parts = String.split_on_char '/' (Files.absolute path) in
    let says part = part <> "" && part <> "." in
    "/" ^ String.concat "/" (List.filter says parts)

let disk_of_json ~column ~format json =
  let text = function
    | Json.String text -> text
    | _ -> bad ~column (f_"a disk has a path and a format, which are strings")
  in
  match json with
  | Json.Dict fields ->
     List.iter (fun (name, _) ->
       if name <> "path" && name <> "format" then
         bad ~column (f_"a disk has no field '%s'") (Escape.text name)) fields;
     let path = text (Json.member "path" json) in
     check_path ~column path;
     let format =
       match Json.member "format" json with
       | Json.Null -> format
       | other -> Some (text other) in
     if format = Some "" then bad ~column (f_"the format is empty");
     { Guest.path = absolute path; format }
  | _ -> bad ~column (f_"a disk is an object: {\"path\": ..., \"format\": ...}")

let words_of_json ~column json =
  let word = function
    | Json.String word when not (String.contains word '\000') -> word
    | _ -> bad ~column (f_"options are strings") in
  match json with
  | Json.Null -> []
  | Json.List words ->
     (match Passable.check (List.map word words) with
      | Ok words -> words
      | Error reason -> bad ~column "%s" reason)
  | _ -> bad ~column (f_"options are a list of strings")

let of_json ~format line =
  let json =
    match Json.of_string line with
    | json -> json
    | exception Json.Invalid { column; reason; _ } -> bad ~column "%s" reason in
  (match json with
   | Json.Dict fields ->
      List.iter (fun (field, _) ->
        if not (List.mem field ["name"; "disks"; "options"]) then
          bad ~column:(column_of line field)
            (f_"a guest has no field '%s'") (Escape.text field)) fields
   | _ -> bad ~column:1 (f_"a guest is an object"));
  let name =
    match Json.member "name" json with
    | String name -> name
    | Null -> bad ~column:1 (f_"the guest has no name")
    | _ -> bad ~column:(column_of line "name") (f_"the name is not a string") in
  check_name ~column:(column_of line "name") name;
  let column = column_of line "disks" in
  let disks =
    match Json.member "disks" json with
    | List (_ :: _ as disks) -> List.map (disk_of_json ~column ~format) disks
    | Null | List [] -> bad ~column (f_"the guest has no disk")
    | _ -> bad ~column (f_"disks are a list of objects") in
  let options =
    words_of_json ~column:(column_of line "options")
      (Json.member "options" json) in
  { Guest.name; disks; domain = None; options }

(* The last part of a path, or of that of a URI. *)
let name_of_path path =
  let path =
    if Guest.is_uri path then List.hd (String.split_on_char '?' path)
    else path in
  Filename.basename path

let of_path ~format path =
  check_path ~column:1 path;
  let name = name_of_path path in
  check_name ~column:1 name;
  { Guest.name; disks = [{ path = absolute path; format }]; domain = None;
    options = [] }

let guest ~format line =
  if String.length line > longest_line then
    bad ~column:(longest_line + 1) (f_"the line has more than %d bytes")
      longest_line;
  if line.[0] = '{' then of_json ~format line else of_path ~format line
