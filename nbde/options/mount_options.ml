(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The option --mount, and those that only go with it.
 *)

open Printf

open Gettext
open Options

type t = {
  directory : string option;
  writable : bool;
  places : Filesystems.place list; (* in reverse, as the next one *)
  fuse_options : string list;
  fork : bool;
  pid_file : string option;
}

let initial = {
  directory = None;
  writable = false;
  places = [];
  fuse_options = [];
  fork = true;
  pid_file = None;
}

let set_directory text t =
  not_empty text;
  { t with directory = Some text }

let add_place text t =
  let place = Filesystems.by_hand text in
  let same { Filesystems.mountpoint; _ } = mountpoint = place.mountpoint in
  if List.exists same t.places then
    raise (Invalid (sprintf (f_"something is mounted on %s already")
                      place.mountpoint));
  { t with places = place :: t.places }

let add_fuse_option text t =
  not_empty text;
  { t with fuse_options = text :: t.fuse_options }

let set_pid_file text t =
  not_empty text;
  { t with pid_file = Some text }

let options =
  [ opt ["--mount"] (value "DIR" set_directory)
      (s_"Unlock the guest and mount it on a directory");
    opt ["-m"] (value "DEV[:MOUNTPOINT[:OPTIONS[:FSTYPE]]]" add_place)
      (s_"Let --mount mount this, and not what the guest says");
    opt ["--no-fork"] (Flag (fun t -> { t with fork = false }))
      (s_"Let --mount stay in the foreground");
    opt ["-o"] (value "OPTION" add_fuse_option) (s_"FUSE option of --mount");
    opt ["--pid-file"] (value "FILE" set_pid_file)
      (s_"Write the process ID of --mount when it is ready");
    opt ["--rw"] (Flag (fun t -> { t with writable = true }))
      (s_"Let --mount write to the guest's disks") ]

(* Without --mount, none of the others can be given. *)
let check_unused t =
  let needs option is_used =
    if is_used then usage (f_"option %s needs --mount") option in
  needs "--rw" t.writable;
  needs "-m" (t.places <> []);
  needs "-o" (t.fuse_options <> []);
  needs "--no-fork" (not t.fork);
  needs "--pid-file" (t.pid_file <> None)

let settings t =
  match t.directory with
  | None ->
     check_unused t;
     None
  | Some directory ->
     let is_root { Filesystems.mountpoint; _ } = mountpoint = "/" in
     if t.places <> [] && not (List.exists is_root t.places) then
       usage (f_"one option -m must be for the mountpoint '/'");
     Some {
       Mount.directory;
       writable = t.writable;
       places = List.rev t.places;
       fuse_options = List.rev t.fuse_options;
       fork = t.fork;
       pid_file = t.pid_file;
     }
