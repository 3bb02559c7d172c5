(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Command line options, by getopt_long(3).
 *)

open Printf

open Gettext

type 'a argument =
  | Flag of ('a -> 'a)
  | Value of { metavar : string; set : string -> 'a -> 'a }
  | Optional of { metavar : string; set : string option -> 'a -> 'a }

type 'a t = {
  names : string list;
  argument : 'a argument;
  help : string;
}

let opt names argument help = { names; argument; help }

let value metavar set = Value { metavar; set }

let of_part change options =
  let argument = function
    | Flag set -> Flag (change set)
    | Value { metavar; set } ->
       Value { metavar; set = (fun text -> change (set text)) }
    | Optional { metavar; set } ->
       Optional { metavar; set = (fun text -> change (set text)) } in
  List.map (fun option -> { option with argument = argument option.argument })
    options

type error =
  | Unknown of string
  | Ambiguous of { option : string; candidates : string list }
  | Missing_value of string
  | Unexpected_value of string
  | Invalid_value of { option : string; value : string; reason : string }
  | Usage of string

exception Error of error
exception Invalid of string

let error_message = function
  | Unknown option -> sprintf (f_"there is no option %s") option
  | Ambiguous { option; candidates } ->
     sprintf (f_"option %s may mean %s") option (String.concat ", " candidates)
  | Missing_value option -> sprintf (f_"option %s needs a value") option
  | Unexpected_value option -> sprintf (f_"option %s takes no value") option
  | Invalid_value { option; value; reason } ->
     sprintf (f_"option %s: '%s': %s") option value reason
  | Usage message -> message

let usage fmt = ksprintf (fun message -> raise (Error (Usage message))) fmt

let not_empty text = if text = "" then raise (Invalid (s_"is empty"))

let integer ~least ~greatest text =
  let digits = text <> "" && String.for_all
                               (function '0'..'9' -> true | _ -> false) text in
  match if digits then int_of_string_opt text else None with
  | Some n when n >= least && n <= greatest -> n
  | Some _ | None ->
     raise (Invalid (sprintf (f_"not a whole number from %d to %d")
                       least greatest))

(* What getopt_long found, in order.  options-c.c knows these types. *)
type has_argument = No_argument | Required_argument | Optional_argument

type found =
  | Short of char * string option
  | Long of int * string option         (* index in the table of long names *)
  | Bad_short of char
  | Bad_long of string                  (* the word: unknown or ambiguous *)
  | Lacks_short of char
  | Lacks_long of int
  | Excess_long of int                  (* a value where none is taken *)
[@@warning "-unused-constructor"]       (* C builds them *)

external getopt_long :
  string array -> (char * has_argument) array -> (string * has_argument) array
  -> found list * string list
  = "nbde_getopt_long"

let is_long name = String.length name > 2

let without_dashes name = String.sub name 2 (String.length name - 2)

let has_argument option =
  match option.argument with
  | Flag _ -> No_argument
  | Value _ -> Required_argument
  | Optional _ -> Optional_argument

let all_names options =
  List.concat_map
    (fun option -> List.map (fun name -> name, option) option.names) options

let short_options options =
  List.map fst (all_names options)
  |> List.filter (fun name -> not (is_long name))
  |> List.sort String.compare

let long_options options =
  List.map fst (all_names options)
  |> List.filter is_long
  |> List.sort String.compare

(* "--out=x" may begin several options: which of the two errors is it? *)
let bad_long options word =
  let name = List.hd (String.split_on_char '=' word) in
  let candidates =
    List.filter (String.starts_with ~prefix:name) (long_options options) in
  match candidates with
  | [] | [_] -> Unknown name
  | _ -> Ambiguous { option = name; candidates }

let apply option name value settings =
  try
    match option.argument, value with
    | Flag set, _ -> set settings
    | Value { set; _ }, Some value -> set value settings
    | Value _, None -> raise (Error (Missing_value name))
    | Optional { set; _ }, value -> set value settings
  with Invalid reason ->
    let value = Option.value value ~default:"" in
    raise (Error (Invalid_value { option = name; value; reason }))

let parse options initial argv =
  let shorts, longs =
    List.partition (fun (name, _) -> not (is_long name)) (all_names options) in
  let longs = Array.of_list longs in
  let short_table =
    List.map (fun (name, option) -> name.[1], has_argument option) shorts in
  let long_table =
    Array.map (fun (name, option) -> without_dashes name, has_argument option)
      longs in
  let short_name c = sprintf "-%c" c in
  let step settings found =
    match found with
    | Short (c, value) ->
       let name = short_name c in
       apply (List.assoc name shorts) name value settings
    | Long (i, value) ->
       let name, option = longs.(i) in
       apply option name value settings
    | Bad_short c -> raise (Error (Unknown (short_name c)))
    | Bad_long word -> raise (Error (bad_long options word))
    | Lacks_short c -> raise (Error (Missing_value (short_name c)))
    | Lacks_long i -> raise (Error (Missing_value (fst longs.(i))))
    | Excess_long i -> raise (Error (Unexpected_value (fst longs.(i)))) in
  let found, rest = getopt_long argv (Array.of_list short_table) long_table in
  List.fold_left step initial found, rest

(* The left column of --help: "-a, --add FILE|URI". *)
let synopsis option =
  let names = String.concat ", " option.names in
  let long = List.exists is_long option.names in
  match option.argument with
  | Flag _ -> names
  | Value { metavar; _ } -> names ^ " " ^ metavar
  | Optional { metavar; _ } ->
     sprintf "%s[%s%s]" names (if long then "=" else "") metavar

let help_column = 30

let help options =
  let describe option =
    let left = " " ^ synopsis option in
    let indent = String.make help_column ' ' in
    let padding = String.make (max 0 (help_column - Escape.width left)) ' ' in
    let lines =
      Wrap.lines ~width:(Lines.width - help_column) option.help in
    let first, rest =
      if Escape.width left < help_column then
        match lines with
        | [] -> left, []
        | first :: rest -> left ^ padding ^ first, rest
      else left, lines in
    first :: List.map (fun line -> indent ^ line) rest in
  String.concat "\n" (List.concat_map describe options) ^ "\n"
