(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --output-keys: write the recovered keys for another program.
 *)

open Printf

open Gettext

exception Error of string

let error fmt = ksprintf (fun message -> raise (Error message)) fmt

type entry = {
  device : string;
  kind : Types.kind;
  key : Clevis.Key.t option;
}

type format = {
  name : string;
  summary : string;
  carries : char -> bool;
  write : Unix.file_descr -> entry list -> unit;
}

(* The virt tools look for LUKS on these only, and ask for them in this
 * order.
 *)
let rank entry =
  match entry.kind with
  | Types.Partition -> Some 0
  | Logical_volume -> Some 1
  | Whole_disk | Md_array | Mapped -> None

let write_byte fd byte = ignore (Unix.write_substring fd byte 0 1)

(* Lines that are not asked for do no harm at the end, where they are never
 * read; before it they would be taken for the key of another device.
 *)
let write_lines fd entries =
  let asked, others = List.partition (fun e -> rank e <> None) entries in
  let missing = List.filter (fun entry -> Option.is_none entry.key) asked in
  (match missing with
   | [] -> ()
   | { device; _ } :: _ ->
      error (f_"%s has no key, so the lines of the keys after it would be \
                taken for others") device);
  let asked = List.stable_sort (fun a b -> compare (rank a) (rank b)) asked in
  let write_line i key =
    if i > 0 then write_byte fd "\n";
    Clevis.Key.write key fd in
  List.iteri write_line
    (List.filter_map (fun entry -> entry.key) (asked @ others))

let lines = {
  name = "lines";
  summary = s_"one key a line";
  carries = (fun byte -> byte <> '\n' && byte <> '\000');
  write = write_lines;
}

let formats = [lines]

type target = {
  file : string;
  format : format;
  force : bool;
}

(* Bytes that some program or format cannot take. *)
let special_bytes = [
  '\n', s_"a newline";
  '\000', s_"a NUL byte";
]

let check_carried format { device; key; _ } =
  let has byte =
    Option.fold ~none:false ~some:(fun key -> Clevis.Key.has_byte key byte)
      key in
  let check (byte, what) =
    if not (format.carries byte) && has byte then
      let others = List.filter (fun other -> other.carries byte) formats in
      let advice =
        match others with
        | [] -> ""
        | _ ->
           sprintf (f_"; use --output-keys-format %s")
             (String.concat "|" (List.map (fun other -> other.name) others)) in
      error (f_"the key of %s contains %s, which the format '%s' cannot \
                carry%s") device what format.name advice in
  List.iter check special_bytes

let exists file =
  match Unix.lstat file with
  | stat -> Some stat.st_kind
  | exception Unix.Unix_error (Unix.ENOENT, _, _) -> None
  | exception Unix.Unix_error (code, _, _) ->
     error "%s: %s" file (Unix.error_message code)

let check_existing { file; force; _ } =
  match exists file with
  | None -> ()
  | Some Unix.S_REG when force -> ()
  | Some Unix.S_REG -> error (f_"%s: exists (--force replaces it)") file
  | Some _ -> error (f_"%s: exists and is not a regular file") file

let check_target target =
  if target.file = "-" then (
    if Unix.isatty Unix.stdout then
      error (f_"keys are not written to a terminal")
  )
  else (
    check_existing target;
    let dir = Filename.dirname target.file in
    try Unix.access dir [Unix.W_OK; Unix.X_OK]
    with Unix.Unix_error (code, _, _) ->
      error "%s: %s" target.file (Unix.error_message code)
  )

let sync_directory dir =
  let fd = Unix.openfile dir [Unix.O_RDONLY; Unix.O_CLOEXEC] 0 in
  Fun.protect ~finally:(fun () -> Unix.close fd) (fun () -> Unix.fsync fd)

let remove_quietly name =
  try Unix.unlink name with Unix.Unix_error _ -> ()

(* Give the complete file its name.  A link, unlike a rename, never replaces
 * another file; filesystems without links cannot have it that strict.
 *)
let publish target temporary =
  if target.force then Unix.rename temporary target.file
  else
    try Unix.link ~follow:false temporary target.file
    with Unix.Unix_error ((EPERM | EOPNOTSUPP | ENOSYS | EMLINK), _, _) ->
      check_existing target;
      Unix.rename temporary target.file

let write_file target write =
  let dir = Filename.dirname target.file in
  let temporary, channel =
    Filename.open_temp_file ~mode:[Open_binary] ~perms:0o600 ~temp_dir:dir
      ("." ^ Package.name ^ "-") "" in
  let finally () =
    close_out_noerr channel;
    remove_quietly temporary in
  Fun.protect ~finally (fun () ->
    let fd = Unix.descr_of_out_channel channel in
    write fd;
    Unix.fsync fd;
    Signals.check ();
    publish target temporary);
  sync_directory dir

let write target entries =
  try
    if List.for_all (fun entry -> Option.is_none entry.key) entries then
      error (f_"there is no key");
    List.iter (check_carried target.format) entries;
    let write fd = target.format.write fd entries in
    if target.file = "-" then write Unix.stdout
    else write_file target write
  with
  | Error message ->
     error (f_"%s was not written: %s")
       (if target.file = "-" then s_"standard output" else target.file) message
  | Unix.Unix_error (code, _, _) ->
     Signals.check ();
     error "%s: %s" target.file (Unix.error_message code)
  | Sys_error message -> error "%s" message

let entries { Types.outcomes; refused } =
  let of_outcome (outcome : Types.outcome) =
    { device = outcome.device.name; kind = outcome.device.kind;
      key = Types.key outcome } in
  let of_refused (refused : Types.refused) =
    { device = refused.name; kind = refused.kind; key = None } in
  List.map of_outcome outcomes @ List.map of_refused refused
