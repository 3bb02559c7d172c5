(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The guests of a fleet: LIST, a folder, libvirt.
 *)

open Printf

open Gettext

type source =
  | List of string
  | Domains of { uri : string option }

exception Wrong of string list

(* Much more than a state folder can be worked on with. *)
let most_guests = 100_000

let largest_list = 64 * 1024 * 1024

(* Errors that are shown; the others are counted. *)
let most_errors = 20

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

(* With which some editors begin a text. *)
let byte_order_mark = "\xef\xbb\xbf"

let without_mark text =
  let n = String.length byte_order_mark in
  if String.starts_with ~prefix:byte_order_mark text then
    String.sub text n (String.length text - n)
  else text

let of_text ~file ~format text =
  let seen = Hashtbl.create 1024 in
  let errors = ref [] and guests = ref [] in
  let add number line =
    let line = without_return line in
    if not (is_empty line) then
      match
        let guest = List_line.guest ~format line in
        (match Hashtbl.find_opt seen guest.name with
         | Some before ->
            List_line.bad ~column:(List_line.column_of line "name")
              (f_"the name '%s' is that of line %d, too") guest.name before
         | None -> Hashtbl.replace seen guest.name number);
        if Hashtbl.length seen > most_guests then
          List_line.bad ~column:1 (f_"there are more than %d guests")
            most_guests;
        guest
      with
      | guest -> guests := guest :: !guests
      | exception List_line.Bad { column; reason } ->
         errors :=
           sprintf "%s:%d:%d: %s" (Escape.text file) number column reason
           :: !errors in
  List.iteri (fun i line -> add (i + 1) line) (String.split_on_char '\n' (without_mark text));
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
  (* Whoever may write to the folder shall not end the work on all others. *)
  let guest name =
    match List_line.of_path ~format (Filename.concat folder name) with
    | guest -> Some guest
    | exception List_line.Bad { reason; _ } ->
       Messages.warning (f_"%s: a disk is left out: %s") folder reason;
       None in
  Array.of_list
    (List.filter_map guest
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
