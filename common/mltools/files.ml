(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Names and folders of this host.
 *)

let absolute name =
  if Filename.is_relative name then Filename.concat (Sys.getcwd ()) name
  else name

let make_folder ~parent ~prefix =
  let random = Random.State.make_self_init () in
  let rec attempt others =
    let name = Printf.sprintf "%s%08x" prefix (Random.State.bits random) in
    let folder = Filename.concat parent name in
    try
      Unix.mkdir folder 0o700;
      folder
    with Unix.Unix_error (Unix.EEXIST, _, _) when others > 0 ->
      attempt (others - 1) in
  attempt 100

let write_text fd text =
  ignore (Unix.write_substring fd text 0 (String.length text))

let rec remove path =
  try
    match (Unix.lstat path).st_kind with
    | S_DIR ->
       Array.iter (fun name -> remove (Filename.concat path name))
         (Sys.readdir path);
       Unix.rmdir path
    | _ -> Unix.unlink path
  with Unix.Unix_error _ | Sys_error _ -> ()
