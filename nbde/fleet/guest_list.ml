(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The guests of a fleet.  LIST has one in each line: JSON if it begins with a
 * brace, else the path of a disk.
 *)

open Printf

open Gettext

type source =
  | List of string
  | Domains of { uri : string option }

exception Wrong of string list

(* What is wrong with a line. *)
exception Bad of { column : int; reason : string }

let bad ~column fmt =
  ksprintf (fun reason -> raise (Bad { column; reason })) fmt

(* A guest has 26 disks or so; more than this is no line of LIST. *)
let longest_line = 64 * 1024

(* Much more than a state folder can be worked on with. *)
let most_guests = 100_000

let largest_list = 64 * 1024 * 1024

(* Errors that are shown; the others are counted. *)
let most_errors = 20

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
let absolute path = if Guest.is_uri path then path else Files.absolute path

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

let of_line ~format line =
  if String.length line > longest_line then
    bad ~column:(longest_line + 1) (f_"the line has more than %d bytes")
      longest_line;
  if line.[0] = '{' then of_json ~format line else of_path ~format line

let without_return line =
  let n = String.length line in
  if n > 0 && line.[n - 1] = '\r' then String.sub line 0 (n - 1) else line

(* What stands between guests. *)
let is_empty line = String.trim line = "" || line.[0] = '#'

let report_errors errors =
  let n = List.length errors in
  let shown = List.filteri (fun i _ -> i < most_errors) errors in
  raise (Wrong (
    if n > most_errors then
      shown @ [sprintf (f_"%d more lines are wrong") (n - most_errors)]
    else shown))

let of_text ~file ~format text =
  let seen = Hashtbl.create 1024 in
  let errors = ref [] and guests = ref [] in
  let add number line =
    let line = without_return line in
    if not (is_empty line) then
      match
        let guest = of_line ~format line in
        (match Hashtbl.find_opt seen guest.name with
         | Some before ->
            bad ~column:(column_of line "name")
              (f_"the name '%s' is that of line %d, too") guest.name before
         | None -> Hashtbl.replace seen guest.name number);
        if Hashtbl.length seen > most_guests then
          bad ~column:1 (f_"there are more than %d guests") most_guests;
        guest
      with
      | guest -> guests := guest :: !guests
      | exception Bad { column; reason } ->
         errors := sprintf "%s:%d:%d: %s" (Escape.text file) number column reason
                   :: !errors in
  List.iteri (fun i line -> add (i + 1) line) (String.split_on_char '\n' text);
  if !errors <> [] then report_errors (List.rev !errors);
  Array.of_list (List.rev !guests)

let read_all file channel =
  let buffer = Buffer.create 4096 in
  let chunk = Bytes.create 65536 in
  let rec go () =
    let n = input channel chunk 0 (Bytes.length chunk) in
    if n > 0 then (
      Buffer.add_subbytes buffer chunk 0 n;
      if Buffer.length buffer > largest_list then
        Failure.error (f_"%s: it has more than %d bytes") file largest_list;
      go ()
    ) in
  go ();
  Buffer.contents buffer

let read_file ~format file =
  let text =
    if file = "-" then read_all file stdin
    else
      match open_in_bin file with
      | exception Sys_error reason -> Failure.error "%s" reason
      | channel ->
         Fun.protect ~finally:(fun () -> close_in_noerr channel) (fun () ->
           try read_all file channel
           with Sys_error reason -> Failure.error "%s: %s" file reason) in
  of_text ~file ~format text

(* Names that disk images have.  What has no suffix may be one, too. *)
let suffixes =
  ["img"; "raw"; "qcow2"; "qcow"; "vmdk"; "vdi"; "vhd"; "vhdx"; "vpc"]

let is_image folder name =
  not (String.starts_with ~prefix:"." name)
  && (match Filename.extension name with
      | "" -> true
      | extension ->
         let n = String.length extension in
         List.mem (String.lowercase_ascii (String.sub extension 1 (n - 1)))
           suffixes)
  && (match (Unix.stat (Filename.concat folder name)).st_kind with
      | S_REG | S_BLK -> true
      | _ -> false
      | exception Unix.Unix_error _ -> false)

let read_folder ~format folder =
  let names =
    match Sys.readdir folder with
    | names -> names
    | exception Sys_error reason -> Failure.error "%s" reason in
  Array.sort compare names;
  let guest name =
    match of_path ~format (Filename.concat folder name) with
    | guest -> guest
    | exception Bad { reason; _ } ->
       raise (Wrong [sprintf "%s: %s" (Escape.text folder) reason]) in
  Array.of_list
    (List.map guest
       (List.filter (is_image folder) (Array.to_list names)))

let read_domains uri =
  let guest name =
    (match Guest.check_name name with
     | Ok () -> ()
     | Error reason ->
        raise (Wrong [sprintf (f_"a domain of libvirt: %s") reason]));
    { Guest.name; disks = []; domain = Some name; options = [] } in
  Array.map guest (Domains.names uri)

let check_apart guests suffix =
  let names = Hashtbl.create 1024 in
  Array.iter (fun guest -> Hashtbl.replace names guest.Guest.name ()) guests;
  Array.iter (fun { Guest.name; _ } ->
    let other = name ^ suffix in
    if Hashtbl.mem names other then
      raise (Wrong [
        sprintf (f_"the guests '%s' and '%s' would have files of the same name")
          name other])) guests

let read ~format source =
  let guests, where =
    match source with
    | Domains { uri } -> read_domains uri, s_"libvirt"
    | List file when file <> "-" && Sys.file_exists file
                     && Sys.is_directory file ->
       read_folder ~format file, file
    | List file -> read_file ~format file, file in
  if guests = [||] then Failure.error (f_"%s: there is no guest") where;
  guests
