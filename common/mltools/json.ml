(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * JSON, written and read by jansson.
 *)

(* json-c.c knows the order of the constructors. *)
type t =
  | Null
  | Bool of bool
  | Int of int64
  | Float of float
  | String of string
  | List of t list
  | Dict of (string * t) list

external dumps : bool -> t -> string = "nbde_json_dumps"

let rec valid = function
  | String s -> String (Escape.utf8 s)
  | List items -> List (List.map valid items)
  | Dict fields ->
     Dict (List.map (fun (name, t) -> Escape.utf8 name, valid t) fields)
  | (Null | Bool _ | Int _ | Float _) as t -> t

(* jansson escapes all control characters but this one. *)
let escape_delete s = String.concat "\\u007f" (String.split_on_char '\x7f' s)

let to_string ?(indent = false) t = escape_delete (dumps indent (valid t))

exception Invalid of { line : int; column : int; reason : string }

external loads : string -> (t, int * int * string) result = "nbde_json_loads"

let of_string text =
  match loads text with
  | Ok t -> t
  | Error (line, column, reason) -> raise (Invalid { line; column; reason })

let member name = function
  | Dict fields -> Option.value (List.assoc_opt name fields) ~default:Null
  | Null | Bool _ | Int _ | Float _ | String _ | List _ -> Null

let elements = function
  | List elements -> elements
  | Null | Bool _ | Int _ | Float _ | String _ | Dict _ -> []
