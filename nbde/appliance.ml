(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The libguestfs appliance: disks, memory, network, launch and end.
 *)

open Printf

open Gettext
open Types

type settings = {
  memsize : int option;
  smp : int option;
  network : bool;
  verbose : bool;
  trace : bool;
}

exception Error of { message : string; hint : string option }

let error ?hint fmt =
  ksprintf (fun message -> raise (Error { message; hint })) fmt

let check_file name =
  let fail error_code = error "%s: %s" name (Unix.error_message error_code) in
  let stat =
    try Unix.stat name with Unix.Unix_error (code, _, _) -> fail code in
  (match stat.st_kind with
   | Unix.S_REG | Unix.S_BLK -> ()
   | Unix.S_DIR -> error (f_"%s: is a directory, not a disk") name
   | _ -> error (f_"%s: is neither a file nor a block device") name);
  (try Unix.access name [Unix.R_OK]
   with Unix.Unix_error (code, _, _) -> fail code);
  if stat.st_kind = Unix.S_REG && stat.st_size = 0 then
    error (f_"%s: is empty, so it is not a disk") name

let check_disks disks =
  let check disk =
    match disk.source with
    | File name -> check_file name
    | Remote _ -> () in
  List.iter check disks

(* The first line is what failed; what follows is general advice of
 * libguestfs, whose environment variables are our -v and -x.
 *)
let first_line message =
  let line = List.hd (String.split_on_char '\n' message) in
  if String.ends_with ~suffix:"." line then
    String.sub line 0 (String.length line - 1)
  else line

let add_disk (g : Guestfs.guestfs) { source; format; blocksize } =
  let readonly = true in
  match source with
  | File name ->
     (try g#add_drive ~readonly ?format ?blocksize name
      with Guestfs.Error message ->
        error (f_"%s: cannot be added: %s") name (first_line message))
  | Remote { protocol; server; username; password; path } ->
     try
       g#add_drive ~readonly ?format ?blocksize ~protocol
         ~server:[| server |] ?username ?secret:password path
     with Guestfs.Error message ->
       error (f_"disk '%s' of %s server %s: cannot be added (-v shows more): \
                 %s") path protocol server (first_line message)

let extra_memsize = 1024

let default_memsize (g : Guestfs.guestfs) = g#get_memsize () + extra_memsize

let configure (g : Guestfs.guestfs) settings =
  g#set_identifier Package.name;
  g#set_program Package.name;
  if settings.verbose then g#set_verbose true;
  if settings.trace then g#set_trace true;
  g#set_network settings.network;
  let memsize =
    match settings.memsize with
    | Some memsize -> memsize
    | None -> default_memsize g in
  g#set_memsize memsize;
  Option.iter g#set_smp settings.smp;
  Progress.attach g;
  Messages.debug "appliance: %d MiB of memory, network %s" memsize
    (if settings.network then "on" else "off")

let launch (g : Guestfs.guestfs) =
  Messages.message (f_"Starting the appliance");
  try g#launch ()
  with Guestfs.Error message ->
    Signals.check ();
    error ~hint:(s_"libguestfs-test-tool(1) tells whether libguestfs works \
                    here at all.")
      (f_"the appliance did not start: %s (-v -x shows more)")
      (first_line message)

let with_launched settings disks f =
  let g =
    try new Guestfs.guestfs ()
    with Guestfs.Error message -> error "%s" (first_line message) in
  (* To close the handle runs programs, which must be let live. *)
  let finally () =
    Signals.spare_children ();
    g#close () in
  Fun.protect ~finally (fun () ->
    configure g settings;
    List.iter (add_disk g) disks;
    Signals.check ();
    launch g;
    f g)
