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
  writable : bool;
  verbose : bool;
  trace : bool;
}

exception Error of { message : string; hint : string option }

let error ?hint fmt =
  ksprintf (fun message -> raise (Error { message; hint })) fmt

let check_file ?(writable = false) name =
  let fail error_code = error "%s: %s" name (Unix.error_message error_code) in
  let stat =
    try Unix.stat name with Unix.Unix_error (code, _, _) -> fail code in
  (match stat.st_kind with
   | Unix.S_REG | Unix.S_BLK -> ()
   | Unix.S_DIR -> error (f_"%s: is a directory, not a disk") name
   | _ -> error (f_"%s: is neither a file nor a block device") name);
  let wanted = if writable then [Unix.R_OK; Unix.W_OK] else [Unix.R_OK] in
  (try Unix.access name wanted
   with Unix.Unix_error (code, _, _) -> fail code);
  if stat.st_kind = Unix.S_REG && stat.st_size = 0 then
    error (f_"%s: is empty, so it is not a disk") name

(* qemu takes LUKS version 1 for a format of disks and wants its key, even
 * where libguestfs was told what the format is: it names none for the overlay
 * of a read-only disk, so that qemu looks at what the guest sees.
 *)
let luks1_magic = "LUKS\xba\xbe\x00\x01"

let begins_with_luks1 name =
  try
    let channel = open_in_bin name in
    Fun.protect ~finally:(fun () -> close_in_noerr channel) (fun () ->
      really_input_string channel (String.length luks1_magic) = luks1_magic)
  with Sys_error _ | End_of_file -> false

let check_format { source; format; _ } =
  let name =
    match source with
    | File name -> name
    | Remote { path; _ } -> path in
  match source, format with
  | _, Some "luks" ->
     error ~hint:(s_"A disk that is LUKS from its first byte has the format \
                     raw.")
       (f_"%s: the format luks is for qemu to decrypt: use --format=raw") name
  | Remote { protocol; server; _ }, None when protocol <> "nbd" ->
     error
       (f_"disk '%s' of %s server %s: libguestfs cannot find out its format: \
           use --format=raw or --format=qcow2 before it") name protocol server
  | _ -> ()

let check_guest settings = function
  | Domain _ -> ()
  | Disks disks ->
     let { writable; _ } = settings in
     let check disk =
       check_format disk;
       match disk.source with
       | File name -> check_file ~writable name
       | Remote { protocol = "http" | "https" as protocol; path; _ }
            when writable ->
          error (f_"disk '%s': cannot be written by %s") path protocol
       | Remote _ -> () in
     List.iter check disks

let by_libvirt (g : Guestfs.guestfs) =
  String.starts_with ~prefix:"libvirt" (g#get_backend ())

(* A folder for temporary files, ours and those of the programs that libguestfs
 * starts: nobody else removes the disk of the appliance that qemu makes, if it
 * is killed before it does.  For root, libvirt runs qemu as another user, who
 * must get to the files in it.
 *)
let make_folder (g : Guestfs.guestfs) =
  try
    let folder =
      Files.make_folder ~parent:(g#get_tmpdir ()) ~prefix:(Package.name ^ "-") in
    if Unix.geteuid () = 0 && by_libvirt g then Unix.chmod folder 0o711;
    folder
  with Unix.Unix_error (code, _, folder) ->
    error "%s: %s" folder (Unix.error_message code)

let remove_folder folder =
  Files.remove folder;
  try Unix.rmdir folder with
  | Unix.Unix_error (Unix.ENOENT, _, _) -> ()
  | Unix.Unix_error (code, _, _) ->
     Messages.warning (f_"%s cannot be removed: %s") folder
       (Unix.error_message code)

(* The first sector that a guest sees of a disk, written to a file.  What is
 * wrong with a disk is for libguestfs to find out.
 *)
let copy_first_sector ~format name file =
  Process.succeeds "qemu-img" (
    ["dd"; "-U"]
    @ Option.fold ~none:[] ~some:(fun format -> ["-f"; format]) format
    @ ["-O"; "raw"; "bs=512"; "count=1"; "if=" ^ name; "of=" ^ file])

(* Would qemu take this file for its own LUKS format? *)
let is_luks1 folder ~format name =
  begins_with_luks1 name
  || format <> Some "raw"
     && (
       let file = Filename.concat folder "first-sector" in
       let luks1 =
         copy_first_sector ~format (Files.absolute name) file
         && begins_with_luks1 file in
       Signals.check ();
       luks1
     )

(* An overlay that is added with its format, and written to in the place of the
 * one that libguestfs would make.
 *)
let make_overlay (g : Guestfs.guestfs) ~format name overlay =
  Messages.debug "%s: is LUKS1 from its first byte, added by an overlay" name;
  try
    let backingformat =
      match format with
      | Some format -> format
      | None -> if begins_with_luks1 name then "raw" else g#disk_format name in
    g#disk_create ~backingfile:(Files.absolute name) ~backingformat overlay
      "qcow2" (-1L)
  with Guestfs.Error message ->
    error (f_"%s: no overlay can be made: %s") name (Guestfs_error.line message)

(* To be written to, a disk is added without an overlay, so that the format
 * that libguestfs was told is that of all that qemu looks at.
 *)
let add_writable_file (g : Guestfs.guestfs) { format; blocksize; _ } name =
  let format =
    match format with
    | None when begins_with_luks1 name -> Some "raw"
    | Some _ | None -> format in
  g#add_drive ~readonly:false ?format ?blocksize name

let add_file (g : Guestfs.guestfs) folder i ~writable disk name =
  let { format; blocksize; _ } = disk in
  try
    if writable then add_writable_file g disk name
    else if is_luks1 folder ~format name then (
      let overlay = Filename.concat folder (sprintf "disk%d.qcow2" i) in
      make_overlay g ~format name overlay;
      g#add_drive ~readonly:false ~format:"qcow2" ?blocksize overlay
    )
    else g#add_drive ~readonly:true ?format ?blocksize name
  with Guestfs.Error message ->
    error (f_"%s: cannot be added: %s") name (Guestfs_error.line message)

(* A server gives what is in the disk, whatever the format of its file. *)
let format_of_nbd = "raw"

let add_disk (g : Guestfs.guestfs) folder ~writable i disk =
  match disk.source with
  | File name -> add_file g folder i ~writable disk name
  | Remote { protocol; server; username; password; path } ->
     let { format; blocksize; _ } = disk in
     let format = Option.value format ~default:format_of_nbd in
     try
       g#add_drive ~readonly:(not writable) ~format ?blocksize ~protocol
         ~server:[| server |] ?username ?secret:password path
     with Guestfs.Error message ->
       error (f_"disk '%s' of %s server %s: cannot be added (-v shows more): \
                 %s") path protocol server (Guestfs_error.line message)

let domain_text { name; uri } =
  match uri with
  | None -> name
  | Some uri -> sprintf (f_"%s (at %s)") name uri

(* "PATH readonly format=FORMAT protocol=file", the path and the format. *)
let local_drive drive =
  match List.rev (String.split_on_char ' ' drive) with
  | "protocol=file" :: format :: "readonly" :: path
       when String.starts_with ~prefix:"format=" format ->
     let skip = String.length "format=" in
     Some (String.concat " " (List.rev path),
           String.sub format skip (String.length format - skip))
  | _ -> None

(* What libguestfs has added is only read for the sake of a message. *)
let check_domain_disks (g : Guestfs.guestfs) folder domain =
  let check (name, format) =
    if is_luks1 folder ~format:(Some format) name then
      error ~hint:(s_"With -a, such a disk is added in a way that qemu \
                      accepts.")
        (f_"domain %s: disk %s is LUKS version 1 from its first byte, which \
            libguestfs cannot take from a domain: give all its disks with -a")
        (domain_text domain) name in
  List.iter check (List.filter_map local_drive (Array.to_list (g#debug_drives ())))

(* CD-ROMs are among the disks that libvirt marks as read-only. *)
let add_domain (g : Guestfs.guestfs) folder ~writable domain =
  let { name; uri } = domain in
  let added =
    try
      g#add_domain ~readonly:(not writable) ?libvirturi:uri ~allowuuid:true
        ~readonlydisk:"ignore" name
    with Guestfs.Error message ->
      error (f_"domain %s: cannot be added: %s") (domain_text domain)
        (Guestfs_error.line message) in
  if added = 0 || g#debug_drives () = [||] then
    error (f_"domain %s: has no disk") (domain_text domain);
  check_domain_disks g folder domain

let add_guest g folder ~writable = function
  | Domain domain -> add_domain g folder ~writable domain
  | Disks disks ->
     List.iteri (add_disk g folder ~writable) disks

let extra_memsize = 1024

let default_memsize (g : Guestfs.guestfs) = g#get_memsize () + extra_memsize

let configure (g : Guestfs.guestfs) settings =
  g#set_identifier Package.name;
  g#set_program Package.name;
  if settings.verbose then g#set_verbose true;
  if settings.trace then g#set_trace true;
  g#set_network settings.network;
  (* What is written to an overlay need not reach it. *)
  g#set_autosync settings.writable;
  let memsize =
    match settings.memsize with
    | Some memsize -> memsize
    | None -> default_memsize g in
  g#set_memsize memsize;
  Option.iter g#set_smp settings.smp;
  Progress.attach g;
  let warn _event _handle text _numbers =
    Messages.warning "libguestfs: %s" (String.trim text) in
  ignore (g#set_event_callback warn [Guestfs.EVENT_WARNING]);
  Messages.debug "appliance: %d MiB of memory, network %s" memsize
    (if settings.network then "on" else "off")

let no_launch_hint g =
  s_"libguestfs-test-tool(1) tells whether libguestfs works here at all.  A \
     remote disk that is LUKS version 1 from its first byte must be copied to a \
     file first."
  ^
  if by_libvirt g then
    "  " ^ s_"With LIBGUESTFS_BACKEND=direct, qemu is run without libvirt, which \
              takes no disk that is LUKS version 1 from its first byte."
  else ""

(* The handle has read TMPDIR when it was made; the programs have not. *)
let launch (g : Guestfs.guestfs) folder =
  Messages.message (f_"Starting the appliance");
  try Process.with_variable "TMPDIR" folder g#launch
  with Guestfs.Error message ->
    Signals.check ();
    error ~hint:(no_launch_hint g)
      (f_"the appliance did not start: %s (-v -x shows more)")
      (Guestfs_error.line message)

(* The socket of the appliance is in a folder of its own, made by libguestfs,
 * which does not tell: /proc/net/unix has lines "ADDRESS ... INODE PATH".
 *)
let socket_folders () =
  let ours = List.map snd (Mountpoint.descriptors ()) in
  let folder line =
    match List.rev (String.split_on_char ' ' line) with
    | path :: inode :: _
         when List.mem ("socket:[" ^ inode ^ "]") ours
              && Filename.basename path = "guestfsd.sock" ->
       Some (Filename.dirname path)
    | _ -> None in
  List.filter_map folder (Mountpoint.lines "/proc/net/unix")

exception Too_small of Memory.need

let launched ?janitor settings guest f =
  Signals.spare_children false;
  let g =
    try new Guestfs.guestfs ()
    with Guestfs.Error message -> error "%s" (Guestfs_error.line message) in
  let remove_if_killed folder =
    Option.iter (fun janitor -> Janitor.remove janitor folder) janitor in
  let folder =
    try make_folder g
    with e ->
      g#close ();
      raise e in
  remove_if_killed folder;
  (* To close the handle runs programs, which must be let live. *)
  let finally () =
    Signals.spare_children true;
    Timing.step Shutdown g#close;
    remove_folder folder in
  Fun.protect ~finally (fun () ->
    Timing.step Launch (fun () ->
      g#set_tmpdir (Some folder);
      (* A mount outlives ^C and the end of the terminal, and so must qemu. *)
      g#set_pgroup (Option.is_some janitor);
      configure g settings;
      add_guest g folder ~writable:settings.writable guest;
      Signals.check ();
      launch g folder);
    List.iter remove_if_killed (socket_folders ());
    f g)

let rec with_launched ?janitor settings guest f =
  try launched ?janitor settings guest f
  with Too_small need ->
    (match Memory.missing need ~available:(Memory.available ()) with
     | Some (message, hint) -> error ~hint "%s" message
     | None -> ());
    Messages.message (f_"%s: starting again with %d MiB") (Memory.reason need)
      need.memsize;
    with_launched ?janitor { settings with memsize = Some need.memsize } guest f
