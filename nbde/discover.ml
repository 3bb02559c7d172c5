(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Find the LUKS devices of a guest.
 *)

open Printf

open Gettext
open Types

module Names = Set.Make (String)

(* Block devices that are there without LVM and without an open LUKS device. *)
type hardware = {
  disks : string array;
  partitions : string list;
  arrays : string array;
}

(* Everything that was looked at, and in which order the devices came last. *)
type seen = {
  looked : Names.t;
  listed : string list;
  hardware : hardware option;
}

let nothing = { looked = Names.empty; listed = []; hardware = None }

let was_seen seen name = Names.mem name seen.looked

let in_order seen = seen.listed

let logical_volumes (g : Guestfs.guestfs) =
  if g#feature_available [| "lvm2" |] then Array.to_list (g#lvs ()) else []

let is_digit c = c >= '0' && c <= '9'

(* Is it a partition of this disk?  The kernel names them so; the appliance
 * would have to be asked for each.
 *)
let is_partition_of disk name =
  let last = disk.[String.length disk - 1] in
  let prefix = if is_digit last then disk ^ "p" else disk in
  let length = String.length prefix in
  String.starts_with ~prefix name
  && String.length name > length
  && String.for_all is_digit
       (String.sub name length (String.length name - length))

(* Disks do not come and go while the appliance runs, and partitions only with
 * the arrays that they are on.
 *)
let list_hardware (g : Guestfs.guestfs) = function
  | Some hardware when g#list_md_devices () = hardware.arrays -> hardware
  | Some _ | None ->
     (* Asked first, since that waits until udev has made all devices. *)
     let partitions = Array.to_list (g#list_partitions ()) in
     { partitions; disks = g#list_devices (); arrays = g#list_md_devices () }

(* A disk that has partitions holds no LUKS header of its own, though an old
 * one may not have been overwritten in full.  Of what is mapped, we know what
 * we have opened; list_dm_devices would run lvs again for each.
 *)
let candidates g { disks; partitions; arrays } opened =
  let whole names =
    List.filter (fun disk ->
      not (List.exists (is_partition_of disk) partitions))
      (Array.to_list names) in
  let mapped = List.map (fun name -> "/dev/mapper/" ^ name) opened in
  let all kind = List.map (fun name -> kind, name) in
  List.concat [
    all Whole_disk (whole disks);
    all Partition partitions;
    all Md_array (whole arrays);
    all Logical_volume (logical_volumes g);
    all Mapped (List.sort compare mapped);
  ]

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

(* Before a call of the appliance reads from a device it runs a process that
 * waits for udev, which takes longer than the reading.  So more is read than
 * is asked for.
 *)
let first_read = 64 * 1024
let read_ahead = 1024 * 1024

let reader (g : Guestfs.guestfs) name =
  let start = ref 0L and data = ref "" in
  fun offset length ->
    let skip = Int64.sub offset !start in
    let needed = Int64.add skip (Int64.of_int length) in
    if skip >= 0L && needed <= Int64.of_int (String.length !data) then
      String.sub !data (Int64.to_int skip) length
    else (
      let ahead = if offset = 0L then first_read else read_ahead in
      start := offset;
      data := g#pread_device name (max length ahead) offset;
      String.sub !data 0 (min length (String.length !data))
    )

let magic = "LUKS\xba\xbe"

let begins_with_luks first = String.starts_with ~prefix:magic first

(* What can be told from the first block of a device: texts, and where. *)
let first_block = 4096
let signatures = [
  "ext2, ext3 or ext4", [1080, "\x53\xef"; 1049, "\000\000\000"];
  "XFS", [0, "XFSB"];
  "LVM2", [512, "LABELONE"];
  "swap", [4086, "SWAPSPACE2"];
  "FAT", [82, "FAT32   "];
  "FAT", [54, "FAT16   "];
  "NTFS", [3, "NTFS    "];
]

let contents first =
  let is_at (offset, text) =
    let length = String.length text in
    String.length first >= offset + length
    && String.sub first offset length = text in
  List.find_map (fun (name, texts) ->
    if List.for_all is_at texts then Some name else None)
    signatures

(* The same for what begins later, when a secondary header was found.  blkid
 * finds that before a filesystem, file does not.
 *)
let filesystem_words = ["filesystem"; "Filesystem"; "XFS"; "swap"; "LVM2"]

let is_left_over (g : Guestfs.guestfs) name first =
  not (begins_with_luks first)
  && (
    let contents = g#file name in
    let words = String.split_on_char ' ' contents in
    let found = List.exists (fun w -> List.mem w filesystem_words) words in
    if found then
      Messages.debug "%s: is now %s; its secondary LUKS2 header is old" name
        contents;
    found
  )

(* The header, or None if the device is not LUKS.  A device that was formatted
 * anew may keep a secondary LUKS2 header, whose place the new contents has not
 * reached yet: it is not looked for.
 *)
let read_attached (g : Guestfs.guestfs) kind name =
  let fetch = reader g name in
  let first = fetch 0L first_block in
  match if begins_with_luks first then None else contents first with
  | Some contents ->
     Messages.debug "%s: is %s" name contents;
     None
  | None ->
     let size = g#blockdev_getsize64 name in
     match load ~device:name ~size fetch with
     | None -> None
     | Some _ when is_left_over g name first -> None
     | Some (luks, info) ->
        Some { name; kind; size; luks; info; detached = None }
     | exception Clevis.Error _ when is_left_over g name first -> None

let read_header g headers (kind, name) =
  match List.assoc_opt name headers with
  | Some file -> Some (read_detached g kind name file)
  | None -> read_attached g kind name

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
  let hardware = list_hardware g seen.hardware in
  let listed = candidates g hardware opened in
  let unseen =
    List.filter (fun (_, name) -> not (was_seen seen name)) listed in
  let looked = List.map (look g headers) unseen in
  let devices =
    List.filter_map (function Luks d -> Some d | _ -> None) looked in
  let refused =
    List.filter_map (function Refused r -> Some r | _ -> None) looked in
  let names = List.map snd in
  let seen = {
    looked = Names.union seen.looked (Names.of_list (names unseen));
    listed = names listed;
    hardware = Some hardware;
  } in
  devices, refused, seen
