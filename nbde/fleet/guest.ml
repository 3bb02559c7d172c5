(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A guest of the fleet.
 *)

open Printf

open Gettext

type disk = {
  path : string;
  format : string option;
}

type t = {
  name : string;
  disks : disk list;
  domain : string option;
  options : string list;
}

type action = List | Preflight | Keys | Run

let actions =
  ["list", List; "preflight", Preflight; "keys", Keys; "run", Run]

let action_of_name name = List.assoc_opt name actions

let action_name action =
  fst (List.find (fun (_, other) -> other = action) actions)

(* Less than the 255 bytes of most filesystems: names get something added. *)
let longest_name = 200

let check_name name =
  let wrong fmt = ksprintf (fun reason -> Error reason) fmt in
  if name = "" then wrong (f_"the name is empty")
  else if String.length name > longest_name then
    wrong (f_"the name has more than %d bytes") longest_name
  else if name.[0] = '.' || name.[0] = '-' then
    wrong (f_"the name '%s' begins with '%c'") (Escape.text name) name.[0]
  else if String.contains name '/' then
    wrong (f_"the name '%s' has a '/'") (Escape.text name)
  else if String.contains name '{' || String.contains name '}' then
    (* It would be a word of COMMAND. *)
    wrong (f_"the name '%s' has a brace") (Escape.text name)
  else if Escape.text name <> name then
    wrong (f_"the name '%s' has a character that cannot be shown")
      (Escape.text name)
  else Ok ()

let is_uri path =
  match Str.search_forward (Str.regexp "^[a-zA-Z][a-zA-Z0-9+.-]*://") path 0 with
  | 0 -> true
  | _ -> false
  | exception Not_found -> false

let json_of_disks { disks; _ } =
  let optional = Option.fold ~none:Json.Null ~some:(fun s -> Json.String s) in
  let disk { path; format } =
    Json.Dict ["path", Json.String path; "format", optional format] in
  Json.List (List.map disk disks)
