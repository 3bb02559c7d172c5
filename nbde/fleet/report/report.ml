(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * virt-nbde-fleet report: what became of a fleet, from its state folder alone.
 *)

open Printf

open Gettext

type format = Text | Json | Junit | Prometheus | Html

let formats = [
  "text", Text;
  "json", Json;
  "junit", Junit;
  "prometheus", Prometheus;
  "html", Html;
]

let format_of_name name =
  match List.assoc_opt name formats with
  | Some format -> format
  | None ->
     Failure.error (f_"there is no report format '%s'; the formats are: %s")
       (Escape.text name) (String.concat ", " (List.map fst formats))

(* As shells and scripts tell the width of a terminal. *)
let width () =
  match Option.bind (Sys.getenv_opt "COLUMNS") int_of_string_opt with
  | Some columns when columns >= 40 -> min columns Lines.width
  | Some _ | None -> Lines.width

let content format summary =
  match format with
  | Text ->
     String.concat "" (List.map (sprintf "%s\n")
                         (Report_text.lines ~width:(width ()) summary))
  | Json -> Json.to_string ~indent:true (Report_json.json summary) ^ "\n"
  | Junit -> Report_junit.document summary
  | Prometheus -> Report_prometheus.text summary
  | Html -> Report_html.document summary

(* A device or a pipe must not be replaced by a file, and of a link it is the file
 * that is meant.
 *)
let file_of name =
  match Unix.stat name with
  | { st_kind = S_REG; _ } -> Unix.realpath name
  | _ -> Failure.error (f_"%s is no regular file") (Escape.text name)
  | exception Unix.Unix_error (Unix.ENOENT, _, _) -> name

(* Readable as the user's other files are: node_exporter has a user of its own. *)
let write file content =
  try
    New_file.write (file_of file) ~perms:0o666 ~replace:true
      ~check:Signals.check (fun fd -> Files.write_text fd content)
  with Unix.Unix_error (code, _, _) -> Failure.of_code file code

let run ~state ~format ~output =
  let summary =
    Summary.make ~state ~made:(Unix.time ()) (Records.read state) in
  let content = content format summary in
  match output with
  | None -> content
  | Some file -> write file content; ""
