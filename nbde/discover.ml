(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Find the LUKS devices of a guest.
 *)

open Printf

open Gettext
open Types

module Names = Set.Make (String)

type seen = Names.t

let nothing = Names.empty

let was_seen seen name = Names.mem name seen

let logical_volumes (g : Guestfs.guestfs) =
  if g#feature_available [| "lvm2" |] then Array.to_list (g#lvs ()) else []

(* libguestfs cannot list them while a volume group lacks one of its devices.
 * What was opened is known all the same.
 *)
let mapped (g : Guestfs.guestfs) opened =
  try Array.to_list (g#list_dm_devices ())
  with Guestfs.Error message ->
    Signals.check ();
    g#ping_daemon ();
    Messages.debug "list_dm_devices: %s" (Appliance.first_line message);
    List.rev_map (fun name -> "/dev/mapper/" ^ name) opened

(* A disk that has partitions holds no LUKS header of its own, though an old
 * one may not have been overwritten in full.
 *)
let candidates (g : Guestfs.guestfs) opened =
  (* Asked first, since that waits until udev has made all devices. *)
  let partitions = Array.to_list (g#list_partitions ()) in
  let partitioned = Names.of_list (List.map g#part_to_dev partitions) in
  let whole names =
    List.filter (fun name -> not (Names.mem name partitioned))
      (Array.to_list names) in
  List.concat [
    List.map (fun name -> Whole_disk, name) (whole (g#list_devices ()));
    List.map (fun name -> Partition, name) partitions;
    List.map (fun name -> Md_array, name) (whole (g#list_md_devices ()));
    List.map (fun name -> Logical_volume, name) (logical_volumes g);
    List.map (fun name -> Mapped, name) (mapped g opened);
  ]

let names g ~opened =
  Timing.step Discover (fun () -> List.map snd (candidates g opened))

(* Load a header of size bytes, or None if it is not LUKS. *)
let load ~device ~size fetch =
  let luks = Clevis.Luks.create ~device ~size in
  let rec loop () =
    match Clevis.Luks.next luks with
    | Not_luks -> None
    | Ready -> Some (luks, Clevis.Luks.info luks)
    | Need { offset; length } ->
       Messages.debug "%s: reading %d bytes at %Ld" device length offset;
       Clevis.Luks.supply luks ~offset (fetch offset length);
       loop () in
  loop ()

(* Fewer bytes than wanted where the file ends. *)
let read_at fd offset length =
  let buf = Bytes.create length in
  ignore (Unix.LargeFile.lseek fd offset Unix.SEEK_SET);
  let rec loop filled =
    match Unix.read fd buf filled (length - filled) with
    | 0 -> filled
    | n -> loop (filled + n) in
  let filled = if length = 0 then 0 else loop 0 in
  Bytes.sub_string buf 0 filled

(* A detached header, which is a file of this host. *)
let read_detached (g : Guestfs.guestfs) kind name file =
  let fail reason =
    raise (Appliance.Error {
      message = sprintf (f_"header of %s: %s: %s") name file reason;
      hint = None;
    }) in
  try
    let fd = Unix.openfile file [Unix.O_RDONLY; Unix.O_CLOEXEC] 0 in
    Fun.protect ~finally:(fun () -> Unix.close fd) (fun () ->
      let size = Unix.LargeFile.lseek fd 0L Unix.SEEK_END in
      match load ~device:name ~size (read_at fd) with
      | Some (luks, info) ->
         { name; kind; size = g#blockdev_getsize64 name; luks; info;
           detached = Some file }
      | None -> fail (s_"is not a LUKS header"))
  with Unix.Unix_error (code, _, _) -> fail (Unix.error_message code)

let magic = "LUKS\xba\xbe"

(* blkid finds an old secondary header before a filesystem, file does not. *)
let filesystem_words = ["filesystem"; "XFS"; "swap"; "LVM2"]

(* A device that was formatted anew may keep a secondary LUKS2 header, whose
 * place the new contents has not reached yet.
 *)
let is_left_over (g : Guestfs.guestfs) name =
  if g#pread_device name (String.length magic) 0L = magic then false
  else (
    let contents = g#file name in
    let words = String.split_on_char ' ' contents in
    let found = List.exists (fun w -> List.mem w filesystem_words) words in
    if found then
      Messages.debug "%s: is now %s; its secondary LUKS2 header is old" name
        contents;
    found
  )

(* The header, or None if the device is not LUKS. *)
let read_header (g : Guestfs.guestfs) headers (kind, name) =
  match List.assoc_opt name headers with
  | Some file -> Some (read_detached g kind name file)
  | None ->
     let size = g#blockdev_getsize64 name in
     let fetch offset length = g#pread_device name length offset in
     match load ~device:name ~size fetch with
     | None -> None
     | Some _ when is_left_over g name -> None
     | Some (luks, info) ->
        Some { name; kind; size; luks; info; detached = None }
     | exception Clevis.Error _ when is_left_over g name -> None

type looked =
  | Luks of device
  | Refused of refused
  | Other

let look (g : Guestfs.guestfs) headers (kind, name) =
  Signals.check ();
  match
    Timing.step Header (fun () -> read_header g headers (kind, name))
  with
  | Some device ->
     let note note = Messages.warning "%s: %s" name note in
     Option.iter note device.info.note;
     Luks device
  | None -> Other
  | exception Clevis.Error error ->
     Messages.warning "%s" error.line;
     Option.iter (Messages.hint "%s") error.hint;
     Refused { name; kind; error }
  | exception Guestfs.Error message ->
     (* Is it the device or the appliance? *)
     g#ping_daemon ();
     Messages.warning (f_"%s: cannot be read: %s") name
       (Appliance.first_line message);
     Other

let scan g ~headers ~opened seen =
  Timing.step Discover @@ fun () ->
  let unseen =
    List.filter (fun (_, name) -> not (Names.mem name seen))
      (candidates g opened) in
  let looked = List.map (look g headers) unseen in
  let devices =
    List.filter_map (function Luks d -> Some d | _ -> None) looked in
  let refused =
    List.filter_map (function Refused r -> Some r | _ -> None) looked in
  devices, refused, Names.union seen (Names.of_list (List.map snd unseen))
