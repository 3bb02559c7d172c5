(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Files and folders that are there whole or not at all.
 *)

type content = Unix.file_descr -> unit

let hidden = "." ^ Package.name ^ "-"

(* Who may write to a folder need not be allowed to read it, and some
 * filesystems know nothing of this; the file is there all the same.
 *)
let sync_folder folder =
  try
    let fd = Unix.openfile folder [Unix.O_RDONLY; Unix.O_CLOEXEC] 0 in
    Fun.protect ~finally:(fun () -> Unix.close fd) (fun () -> Unix.fsync fd)
  with Unix.Unix_error ((EACCES | EINVAL), _, _) -> ()

let exists name =
  match Unix.lstat name with
  | (_ : Unix.stats) -> true
  | exception Unix.Unix_error (Unix.ENOENT, _, _) -> false

(* A link, unlike a rename, never replaces another file; filesystems without
 * links cannot have it that strict.
 *)
let publish ~replace temporary file =
  if replace then Unix.rename temporary file
  else
    try Unix.link ~follow:false temporary file
    with Unix.Unix_error ((EPERM | EOPNOTSUPP | ENOSYS | EMLINK), _, _) ->
      if exists file then raise (Unix.Unix_error (Unix.EEXIST, "link", file));
      Unix.rename temporary file

let write ?(made = ignore) ?(perms = 0o600) ~replace ~check file content =
  let folder = Filename.dirname file in
  let temporary, channel =
    Filename.open_temp_file ~mode:[Open_binary] ~perms ~temp_dir:folder hidden
      "" in
  let finally () =
    close_out_noerr channel;
    Files.remove temporary in
  Fun.protect ~finally (fun () ->
    made temporary;
    let fd = Unix.descr_of_out_channel channel in
    content fd;
    Unix.fsync fd;
    check ();
    publish ~replace temporary file);
  sync_folder folder

(* What took the place of an older file stays: that one is gone. *)
let write_all ~replace ~check files =
  let add written (file, content) =
    try
      write ~replace ~check file content;
      file :: written
    with e ->
      if not replace then List.iter Files.remove written;
      raise e in
  ignore (List.fold_left add [] files)

(* In a folder that nobody else knows. *)
let write_inside folder (name, content) =
  let fd =
    Unix.openfile (Filename.concat folder name)
      [Unix.O_WRONLY; Unix.O_CREAT; Unix.O_EXCL; Unix.O_CLOEXEC] 0o600 in
  Fun.protect ~finally:(fun () -> Unix.close fd) (fun () ->
    content fd;
    Unix.fsync fd)

let make_folder_beside folder =
  Files.make_folder ~parent:(Filename.dirname folder) ~prefix:hidden

(* A folder that is there is moved away first, and back if that was in vain:
 * no folder that has files can be replaced in one step.
 *)
let publish_folder temporary folder =
  if not (exists folder) then Unix.rename temporary folder
  else (
    let old = make_folder_beside folder in
    Unix.rename folder old;
    (try Unix.rename temporary folder
     with e ->
       Unix.rename old folder;
       raise e);
    Files.remove old
  )

let write_folder ~check folder files =
  let temporary = make_folder_beside folder in
  Fun.protect ~finally:(fun () -> Files.remove temporary) (fun () ->
    List.iter (write_inside temporary) files;
    sync_folder temporary;
    check ();
    publish_folder temporary folder);
  sync_folder (Filename.dirname folder)
