(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * From the disks of a guest to what libguestfs adds.
 *)

open Printf

open Gettext
open Types

let check_file ?(writable = false) name =
  let fail code = Failure.of_code name code in
  let stat =
    try Unix.LargeFile.stat name with Unix.Unix_error (code, _, _) -> fail code
  in
  (match stat.st_kind with
   | Unix.S_REG | Unix.S_BLK -> ()
   | Unix.S_DIR -> Failure.error (f_"%s: is a directory, not a disk") name
   | _ -> Failure.error (f_"%s: is neither a file nor a block device") name);
  let wanted = if writable then [Unix.R_OK; Unix.W_OK] else [Unix.R_OK] in
  (try Unix.access name wanted
   with Unix.Unix_error (code, _, _) -> fail code);
  if stat.st_kind = Unix.S_REG && stat.st_size = 0L then
    Failure.error (f_"%s: is empty, so it is not a disk") name

(* For messages. *)
let title = function
  | File name -> name
  | Remote { protocol; server; path; _ } ->
     sprintf (f_"disk '%s' of %s server %s") path protocol server

let format_of { source; format; _ } =
  match format with
  | None -> None
  | Some "luks" ->
     Failure.error
       ~hint:(s_"A disk that is LUKS from its first byte has the format raw.")
       (f_"%s: the format luks is for qemu to decrypt: use --format=raw")
       (title source)
  | Some name ->
     match Image_format.of_name name with
     | Some format -> Some format
     | None ->
        Failure.error (f_"%s: there is no format '%s'; the formats are: %s")
          (title source) name (String.concat ", " Image_format.names)

let check_remote ~writable source =
  match source with
  | Remote { protocol = "http" | "https" as protocol; _ } when writable ->
     Failure.error (f_"%s: cannot be written by %s") (title source) protocol
  | Remote { protocol = "nbd"; username = Some _; _ } ->
     Failure.error (f_"%s: there are no user names in this protocol")
       (title source)
  | Remote { protocol = "ssh"; password = Some _; _ } ->
     Failure.error ~hint:(s_"Add a key to your ssh-agent.")
       (f_"%s: a password cannot be used in this protocol") (title source)
  | Remote _ | File _ -> ()

let check_disk ~writable disk =
  ignore (format_of disk);
  match disk.source with
  | File name -> check_file ~writable name
  | Remote _ -> check_remote ~writable disk.source

let check ~writable = function
  | Domain _ -> ()
  | Disks disks -> List.iter (check_disk ~writable) disks

(* A disk, as it was found to be. *)

let say_format title ~found_out format =
  Messages.debug "%s: format %s, %s" title (Image_format.name format)
    (if found_out then "found out" else "as given")

(* Such a file was not named by the user but by what may be a guest's bytes. *)
let say_backing { Chain.top; backing; found_out } =
  match backing with
  | { Chain.file; _ } :: _ when found_out ->
     Messages.warning
       (f_"%s: it begins like a %s file with the backing file '%s', which is \
           read as well; --format says what it is") top.file
       (Image_format.name top.format) (Escape.text file)
  | _ -> ()

(* Somebody is wrong, or the guest hopes that somebody is. *)
let say_raw name =
  match Chain.detect name with
  | Image_format.Raw -> ()
  | format ->
     Messages.warning (f_"%s: is read as raw, though it begins like a %s file")
       name (Image_format.name format)

let chain_of ?format name =
  let chain = Chain.walk ?format name in
  let { Chain.top; backing; found_out } = chain in
  say_format name ~found_out top.format;
  if top.format = Raw then say_raw name;
  say_backing chain;
  List.iter (fun { Chain.file; format; _ } ->
    check_file file;
    Messages.debug "%s: backing file %s, format %s" name file
      (Image_format.name format)) backing;
  chain

let remote_node source =
  match source with
  | File _ -> invalid_arg "remote_node"
  | Remote { protocol; server; username; password; path } ->
     let user = Option.map (fun user -> user, password) username in
     match protocol with
     | "nbd" -> Node.nbd ~server ~export:path
     | "ssh" -> Node.ssh ~server ~user ~path
     | scheme -> Node.http ~scheme ~server ~user ~path

(* ssh asks the user's agent. *)
let network_of = function
  | File _ -> Sandbox.No_network
  | Remote { protocol = "ssh"; _ } -> Sandbox.All_sockets
  | Remote { server; _ } when String.starts_with ~prefix:"unix:" server ->
     Sandbox.All_sockets
  | Remote _ -> Sandbox.Internet

(* A server of NBD gives what is in the disk, whatever the format of its
 * file.
 *)
let remote_of disk =
  let { source; _ } = disk in
  let format =
    match source, format_of disk with
    | Remote { protocol = "nbd"; _ }, None -> Some Image_format.Raw
    | _, format -> format in
  let node, uri = remote_node source in
  { Overlay.node; uri; network = network_of source; title = title source;
    format }

(* What was written to an overlay is lost at the end. *)
let add_overlay (g : Guestfs.guestfs) { source; blocksize; _ } overlay =
  try
    g#add_drive ~readonly:false ~format:"qcow2" ~cachemode:"unsafe" ?blocksize
      overlay
  with Guestfs.Error message ->
    Failure.error (f_"%s: cannot be added: %s") (title source)
      (Guestfs_error.line message)

(* The header of the disk names its backing files, with their formats: that was
 * seen before.
 *)
let add_itself (g : Guestfs.guestfs) { source; blocksize; _ } format =
  let format = Image_format.name format in
  try
    match source with
    | File name -> g#add_drive ~readonly:false ~format ?blocksize name
    | Remote { protocol; server; username; path; _ } ->
       g#add_drive ~readonly:false ~format ?blocksize ~protocol
         ~server:[| server |] ?username path
  with Guestfs.Error message ->
    Failure.error (f_"%s: cannot be added (-v shows more): %s") (title source)
      (Guestfs_error.line message)

let by_libvirt (g : Guestfs.guestfs) =
  String.starts_with ~prefix:"libvirt" (g#get_backend ())

let reader g = if by_libvirt g then Overlay.Libvirt else Overlay.Qemu

(* Disks that were looked at: what is to be opened is decided. *)

type image =
  | Local of Chain.t
  | Server of Overlay.remote

type drive = { disk : disk; image : image }

type t = {
  drives : drive list;
  settings : (string * string) list;
  within : string -> string;    (* their errors, in the words of the user *)
}

let look_at disk =
  match disk.source with
  | File file -> { disk; image = Local (chain_of ?format:(format_of disk) file) }
  | Remote _ -> { disk; image = Server (remote_of disk) }

let say_sandbox () =
  if not (Sandbox.file_rules ()) then
    Messages.debug "this kernel has no Landlock: qemu-img is not kept from \
                    other files"

let find ~writable guest =
  say_sandbox ();
  match guest with
  | Disks disks ->
     { drives = List.map look_at disks; settings = []; within = Fun.id }
  | Domain domain ->
     let { Domain.disks; settings } = Domain.find ~writable domain in
     let within = Domain.in_domain domain in
     Failure.within within (fun () ->
       List.iter (check_disk ~writable) disks;
       { drives = List.map look_at disks; settings; within })

let add_drive g ~folder ~writable i { disk; image } =
  let place =
    { Overlay.folder; name = sprintf "disk%d" i; reader = reader g } in
  match image with
  | Local chain ->
     if writable then add_itself g disk chain.top.format
     else add_overlay g disk (Overlay.over_chain place chain)
  | Server remote ->
     let format = Overlay.format_of_remote place remote in
     say_format remote.title ~found_out:(remote.format = None) format;
     if writable then add_itself g disk format
     else
       add_overlay g disk
         (Overlay.over_remote place remote ~format)

let add (g : Guestfs.guestfs) ~folder ~writable { drives; settings; within } =
  List.iter (fun (name, value) -> g#set_backend_setting name value) settings;
  Failure.within within (fun () ->
    List.iteri (add_drive g ~folder ~writable) drives)

(* Without the appliance. *)

type reading = { reader : Reader.t; sector_size : int }

exception Unsure of string

let unsure fmt = ksprintf (fun reason -> raise (Unsure reason)) fmt

let default_sector_size = 512

let open_reader { disk; image } =
  match image, disk.source with
  | Local chain, _ -> Reader.open_chain chain
  | Server { format = Some Raw; title; _ },
    Remote { protocol = "nbd"; server; path; _ } ->
     Reader.open_nbd ~server ~export:path ~title ()
  | Server { title; _ }, _ ->
     unsure (f_"%s: only the appliance reads it") title

let open_drive drive =
  match open_reader drive with
  | reader ->
     { reader;
       sector_size =
         Option.value drive.disk.blocksize ~default:default_sector_size }
  | exception Reader.Unsafe reason -> unsure "%s" reason
  | exception Failure.Error { message; _ } -> unsure "%s" message

let close readings = List.iter (fun { reader; _ } -> Reader.close reader) readings

let open_here { drives; _ } =
  let rec loop opened = function
    | [] -> List.rev opened
    | drive :: rest ->
       match open_drive drive with
       | reading -> loop (reading :: opened) rest
       | exception e ->
          close opened;
          raise e in
  loop [] drives
