(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What a child says.
 *)

open Printf

open Gettext

type stream = Stdout | Stderr

(* A guest with 26 disks, each with all tokens that LUKS2 has room for, has less.
 * What is read from it takes some ten times as much memory, for one guest at a
 * time.
 *)
let largest_document = 4 * 1024 * 1024

(* Values in it, and how deep they are in each other: a device has some hundreds, and
 * pins are in eight others at most.
 *)
let most_values = 100_000
let deepest = 64

let largest_log = 1024 * 1024

(* Enough to understand what happened; all of it is in the log. *)
let most_errors = 50
let longest_error = 2000

type place =
  | Before                      (* the first byte of standard output *)
  | Inside
  | Too_large
  | After

type read =
  | Unread
  | Json of Json.t
  | Wrong of { line : int; reason : string }

type t = {
  mutable place : place;
  mutable read : read;          (* the document, when it was wanted *)
  document : Buffer.t;
  log : Bounded.t;
  stderr : Bounded.t;           (* alone, for its errors *)
}

let make () =
  { place = Before; read = Unread; document = Buffer.create 4096;
    log = Bounded.make largest_log; stderr = Bounded.make (256 * 1024) }

(* The document ends with a line that is a brace and nothing else. *)
let end_of_document buffer ~from =
  let n = Buffer.length buffer in
  let is_end at =
    Buffer.nth buffer at = '\n' && Buffer.nth buffer (at + 1) = '}'
    && Buffer.nth buffer (at + 2) = '\n' in
  let rec look at =
    if at + 2 >= n then None else if is_end at then Some (at + 3)
    else look (at + 1) in
  look (max 0 from)

let rec hear_stdout t bytes offset length =
  if length > 0 then
    match t.place with
    | Before ->
       t.place <- if Bytes.get bytes offset = '{' then Inside else After;
       hear_stdout t bytes offset length
    | After -> Bounded.add t.log bytes offset length
    | Too_large -> ()
    | Inside when Buffer.length t.document + length > largest_document ->
       Buffer.reset t.document;
       t.place <- Too_large
    | Inside ->
       let before = Buffer.length t.document in
       Buffer.add_subbytes t.document bytes offset length;
       (match end_of_document t.document ~from:(before - 2) with
        | Some at ->
           Buffer.truncate t.document at;
           t.place <- After;
           let used = at - before in
           hear_stdout t bytes (offset + used) (length - used)
        | None -> ())

let hear t stream bytes length =
  match stream with
  | Stdout -> hear_stdout t bytes 0 length
  | Stderr ->
     Bounded.add t.log bytes 0 length;
     Bounded.add t.stderr bytes 0 length

type result = {
  document : Json.t;
  problem : string option;
  errors : string list;
  log : string;
}

(* The child speaks the language of this program. *)
let error_head () = sprintf "%s: %s " Package.name (s_"error:")

let error_of_line line =
  let head = error_head () in
  if String.starts_with ~prefix:head line then
    let n = String.length head in
    let length = min longest_error (String.length line - n) in
    Some (Escape.text (String.sub line n length))
  else None

let errors (t : t) =
  String.split_on_char '\n' (Bounded.contents t.stderr)
  |> List.filter_map error_of_line
  |> List.filteri (fun i _ -> i < most_errors)

exception Too_much

(* Before it is read, which takes much more memory than the text: each value but the
 * first one in a list has a comma before it.
 *)
let check_text text =
  let begins n = function
    | ',' | '[' | '{' -> n + 1
    | _ -> n in
  if String.fold_left begins 0 text > 2 * most_values then raise Too_much

let check_values document =
  let left = ref most_values in
  let rec look depth value =
    decr left;
    if !left < 0 || depth > deepest then raise Too_much;
    match value with
    | Json.List values -> List.iter (look (depth + 1)) values
    | Dict fields -> List.iter (fun (_, value) -> look (depth + 1) value) fields
    | Null | Bool _ | Int _ | Float _ | String _ -> () in
  look 0 document

let parse text =
  match
    check_text text;
    let document = Json.of_string text in
    check_values document;
    document
  with
  | document -> Json document
  | exception Json.Invalid { line; reason; _ } -> Wrong { line; reason }
  | exception Too_much ->
     Wrong { line = 1; reason = s_"it has more values than any guest" }

(* Once: its text is not needed any more. *)
let read (t : t) =
  if t.read = Unread then (
    t.read <- parse (Buffer.contents t.document);
    Buffer.reset t.document
  );
  t.read

let has_document (t : t) = t.read <> Unread || Buffer.length t.document > 0

let document (t : t) =
  match t.place with
  | After when has_document t ->
     (match read t with
      | Json document -> Some document
      | Unread | Wrong _ -> None)
  | Before | Inside | Too_large | After -> None

let result (t : t) =
  let document, problem =
    match t.place with
    | Too_large ->
       Json.Null, Some (sprintf (f_"its document has more than %d bytes")
                          largest_document)
    | Before | After when not (has_document t) -> Json.Null, None
    | Before | Inside | After ->
       match read t with
       | Json document -> document, None
       | Unread -> Json.Null, None
       | Wrong { line; reason } ->
          Json.Null,
          Some (sprintf (f_"its document is no JSON in line %d: %s") line
                  reason) in
  { document; problem; errors = errors t; log = Bounded.contents t.log }
