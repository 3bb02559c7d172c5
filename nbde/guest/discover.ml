(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Find the LUKS devices of a guest.
 *)

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
  lvm : bool; (* some device was a physical volume of LVM *)
}

let nothing =
  { looked = Names.empty; listed = []; hardware = None; lvm = false }

let was_seen seen name = Names.mem name seen.looked

let in_order seen = seen.listed

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

let all kind = List.map (fun name -> kind, name)

(* A disk that has partitions holds no LUKS header of its own, though an old
 * one may not have been overwritten in full.
 *)
let hardware_devices { disks; partitions; arrays } =
  let whole names =
    List.filter (fun disk ->
      not (List.exists (is_partition_of disk) partitions))
      (Array.to_list names) in
  List.concat [
    all Whole_disk (whole disks);
    all Partition partitions;
    all Md_array (whole arrays);
  ]

(* Of what is mapped, we know what we have opened; list_dm_devices would run lvs
 * for each.
 *)
let mapped_devices opened =
  let mapped = List.map (fun name -> "/dev/mapper/" ^ name) opened in
  all Mapped (List.sort compare mapped)

(* Physical volumes that are there since something was opened are not known to
 * LVM yet.
 *)
let logical_volumes (g : Guestfs.guestfs) ~rescan =
  if g#feature_available [| "lvm2" |] then (
    if rescan then Timing.step Rescan (fun () -> g#lvm_scan true);
    all Logical_volume (Array.to_list (g#lvs ()))
  )
  else []

type headers = {
  detached : (string * string) list;
  mutable read : Clevis.Luks.t list;
}

let headers detached = { detached; read = [] }
let detached { detached; _ } = detached

let release headers =
  List.iter Clevis.Luks.release headers.read;
  headers.read <- []

(* Load a header of size bytes, or None if it is not LUKS. *)
let load headers ~device ~size fetch =
  let luks = Clevis.Luks.create ~device ~size in
  headers.read <- luks :: headers.read;
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
let read_detached (g : Guestfs.guestfs) headers (kind, name) file =
  let fail reason =
    Failure.error (f_"header of %s: %s: %s") name file reason in
  try
    let fd = Unix.openfile file [Unix.O_RDONLY; Unix.O_CLOEXEC] 0 in
    Fun.protect ~finally:(fun () -> Unix.close fd) (fun () ->
      let size = Unix.LargeFile.lseek fd 0L Unix.SEEK_END in
      match load headers ~device:name ~size (read_at fd) with
      | Some (luks, info) ->
         { name; kind; size = g#blockdev_getsize64 name; luks; info;
           detached = Some file }
      | None -> fail (s_"is not a LUKS header"))
  with Unix.Unix_error (code, _, _) -> fail (Unix.error_message code)

(* Before a call of the appliance reads from a device it runs a process that
 * waits for udev, which takes longer than the reading.  So more is read than
 * is asked for: at first what has the metadata of nearly every LUKS device and
 * its keyslots 0 and 1, of which the latter is usually the bound one.
 *)
let first_read = 576 * 1024
let read_ahead = 1024 * 1024

(* Where that meets a damaged place, the header before it may be whole. *)
let read_little = 16 * 1024

let read_first (g : Guestfs.guestfs) name =
  try g#pread_device name first_read 0L
  with Guestfs.Error _ -> g#pread_device name read_little 0L

(* What was read last is kept. *)
let reader (g : Guestfs.guestfs) name first =
  let start = ref 0L and data = ref first in
  fun offset length ->
    let skip = Int64.sub offset !start in
    let needed = Int64.add skip (Int64.of_int length) in
    if skip >= 0L && needed <= Int64.of_int (String.length !data) then
      String.sub !data (Int64.to_int skip) length
    else (
      start := offset;
      data := g#pread_device name (max length read_ahead) offset;
      String.sub !data 0 (min length (String.length !data))
    )

let magic = "LUKS\xba\xbe"

let begins_with_luks first = String.starts_with ~prefix:magic first

(* What can be told from the beginning of a device: texts, and where. *)
let lvm_label = "LVM2"
let signatures =
  List.map (fun sector -> lvm_label, [512 * sector, "LABELONE"]) [0; 1; 2; 3]
  @ [
    "ext2, ext3 or ext4", [1080, "\x53\xef"; 1049, "\000\000\000"];
    "XFS", [0, "XFSB"];
    "swap", [4086, "SWAPSPACE2"];
    "FAT", [82, "FAT32   "];
    "FAT", [54, "FAT16   "];
    "NTFS", [3, "NTFS    "];
    "GRUB", [0, "RV"; 283, "loading\000"]; (* a BIOS boot partition has it *)
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

type looked =
  | Luks of device
  | Refused of refused
  | Physical_volume
  | Other

(* A device that was formatted anew may keep a secondary LUKS2 header, whose
 * place the new contents has not reached yet: it is not looked for.
 *)
let read_attached (g : Guestfs.guestfs) headers (kind, name) =
  let first = read_first g name in
  match if begins_with_luks first then None else contents first with
  | Some contents ->
     Messages.debug "%s: is %s" name contents;
     if contents = lvm_label then Physical_volume else Other
  | None ->
     let size = g#blockdev_getsize64 name in
     match load headers ~device:name ~size (reader g name first) with
     | None -> Other
     | Some _ when is_left_over g name first -> Other
     | Some (luks, info) ->
        Luks { name; kind; size; luks; info; detached = None }
     | exception Clevis.Error _ when is_left_over g name first -> Other

let read_header g headers device =
  match List.assoc_opt (snd device) headers.detached with
  | Some file -> Luks (read_detached g headers device file)
  | None -> read_attached g headers device

let look (g : Guestfs.guestfs) headers (kind, name) =
  Signals.check ();
  match
    Timing.step Header (fun () -> read_header g headers (kind, name))
  with
  | Luks device as looked ->
     let note note = Messages.warning "%s: %s" name note in
     Option.iter note device.info.note;
     looked
  | (Refused _ | Physical_volume | Other) as looked -> looked
  | exception Clevis.Error error ->
     Messages.warning "%s" error.line;
     Option.iter (Messages.hint "%s") error.hint;
     Refused { name; kind; error }
  | exception Guestfs.Error message ->
     (* Is it the device or the appliance? *)
     g#ping_daemon ();
     Messages.warning (f_"%s: cannot be read: %s") name
       (Guestfs_error.line message);
     Other

(* Logical volumes are asked for only where there is a physical one: LVM takes
 * long to start in the appliance.
 *)
let scan g headers ~opened seen =
  Timing.step Discover @@ fun () ->
  let is_new (_, name) = not (was_seen seen name) in
  let look_at candidates =
    let unseen = List.filter is_new candidates in
    unseen, List.map (look g headers) unseen in
  let hardware = list_hardware g seen.hardware in
  let outer = hardware_devices hardware and mapped = mapped_devices opened in
  let unseen_outer, found_outer = look_at outer in
  let unseen_mapped, found_mapped = look_at mapped in
  let volume = List.mem Physical_volume (found_outer @ found_mapped) in
  let lvm = seen.lvm || volume in
  let volumes =
    if lvm then logical_volumes g ~rescan:(volume && opened <> []) else [] in
  let unseen_volumes, found_volumes = look_at volumes in
  let looked = found_outer @ found_volumes @ found_mapped in
  let devices =
    List.filter_map (function Luks d -> Some d | _ -> None) looked in
  let refused =
    List.filter_map (function Refused r -> Some r | _ -> None) looked in
  let names = List.map snd in
  let looked_at = names (unseen_outer @ unseen_volumes @ unseen_mapped) in
  let seen = {
    looked = Names.union seen.looked (Names.of_list looked_at);
    listed = names (outer @ volumes @ mapped);
    hardware = Some hardware;
    lvm;
  } in
  devices, refused, seen
