(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * How virt-nbde-unlock is called.
 *)

open Printf

open Gettext

type settings = {
  program : string;
  servers : string;
  passed : string list;
  uri : string option;
  keys_folder : string;
  own_keys : bool;
  keys_format : string;
  command : string list;
}

let ( / ) = Filename.concat

let is_program file =
  match Unix.access file [Unix.X_OK] with
  | () -> not (Sys.is_directory file)
  | exception Unix.Unix_error _ -> false

let find_program () =
  let path = Option.value (Sys.getenv_opt "PATH") ~default:"/usr/bin:/bin" in
  let folders =
    Filename.dirname Sys.executable_name
    :: List.filter (( <> ) "") (String.split_on_char ':' path) in
  match
    List.find_opt is_program
      (List.map (fun folder -> folder / Package.name) folders)
  with
  | Some file -> Files.absolute file
  | None ->
     Failure.error (f_"there is no %s beside this program or in PATH")
       Package.name

let run_to_end program words =
  let child = Child.start program (Package.name :: words) ~limit:(Some 60.) in
  let rec wait () =
    match Child.ended child with
    | Some ended -> ended
    | None ->
       Child.wait [child] ~seconds:1.;
       Signals.check ();
       wait () in
  wait ()

(* What stands before --help is looked at before that. *)
let check_options { program; _ } options =
  if options <> [] then (
    match run_to_end program (options @ ["--help"]) with
    | { status = WEXITED 0; _ } -> ()
    | { heard = { errors = reason :: _; _ }; _ } ->
       Failure.error "%s: %s" Package.name reason
    | _ ->
       Failure.error (f_"%s does not take these options: %s") Package.name
         (String.concat " " options)
  )

let disks_word = "{disks}"
let name_word = "{name}"

let contains word part =
  match Str.search_forward (Str.regexp_string part) word 0 with
  | (_ : int) -> true
  | exception Not_found -> false

let names_disks word = contains word disks_word

let replace word part text =
  String.concat text (Str.split_delim (Str.regexp_string part) word)

let check guests command =
  let within word = names_disks word && word <> disks_word in
  match List.find_opt within command with
  | None -> ()
  | Some word ->
     Array.iter (fun (guest : Guest.t) ->
       if List.length guest.disks > 1 then
         Options.usage (f_"'%s' has {disks} within a word, and the guest %s has \
                           more than one disk") word guest.name) guests

(* The name goes in last: braces in a path are none of ours. *)
let command_for (guest : Guest.t) command =
  let paths = List.map (fun disk -> disk.Guest.path) guest.disks in
  List.concat_map (fun word ->
    if word = disks_word then paths
    else
      let word = replace word name_word guest.name in
      if names_disks word then
        [replace word disks_word (String.concat "," paths)]
      else [word]) command

let disk_words (guest : Guest.t) =
  List.concat_map (fun { Guest.path; format } ->
    (match format with
     | Some format -> sprintf "--format=%s" format
     | None -> "--format")            (* not that of the disk before *)
    :: ["-a"; path]) guest.disks

let domain_words uri = function
  | Some name ->
     ["-d"; name] @ Option.fold ~none:[] ~some:(fun uri -> ["-c"; uri]) uri
  | None -> []

let keys_file t (guest : Guest.t) = t.keys_folder / guest.name

let action_words t action ~replace guest =
  match action with
  | Guest.List -> ["--list"]
  | Preflight -> ["--preflight"]
  | Keys ->
     ["--output-keys=" ^ keys_file t guest;
      "--output-keys-format=" ^ t.keys_format]
     @ (if replace then ["--force"] else [])
  | Run -> "--run" :: "--" :: command_for guest t.command

let words t action ~replace (guest : Guest.t) =
  let options =
    Passable.for_action ~preflight:(action = Guest.Preflight)
      (t.passed @ guest.options) in
  [Package.name; "-q"; "--output-format=json"]
  @ ["--tang-share=" ^ t.servers]
  @ options
  @ disk_words guest
  @ domain_words t.uri guest.domain
  @ action_words t action ~replace guest

let asked t action =
  let text s = Json.String s in
  match action with
  | Guest.List | Preflight -> Json.Null
  | Keys ->
     (* The state folder may be moved, with its keys. *)
     let folder =
       if t.own_keys then Json.Null
       else text (try Unix.realpath t.keys_folder
                  with Unix.Unix_error _ -> Files.absolute t.keys_folder) in
     Json.Dict ["keys_folder", folder;
                "keys_format", text t.keys_format]
  | Run -> Json.Dict ["command", Json.List (List.map text t.command)]
