(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The LUKS headers of block devices.
 *)

open Gettext
open Types

type found =
  | Luks of device
  | Refused of refused
  | Physical_volume
  | Other

type t = {
  detached : (string * string) list;
  mutable loaded : Clevis.Luks.t list;
}

let make ~detached = { detached; loaded = [] }
let detached { detached; _ } = detached

let release t =
  List.iter Clevis.Luks.release t.loaded;
  t.loaded <- []

(* Load a header of size bytes, or None if it is not LUKS. *)
let load t ~device ~size fetch =
  let luks = Clevis.Luks.create ~device ~size in
  t.loaded <- luks :: t.loaded;
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
let read_detached (g : Guestfs.guestfs) t (kind, name) file =
  let fail reason =
    Failure.error (f_"header of %s: %s: %s") name file reason in
  try
    let fd = Unix.openfile file [Unix.O_RDONLY; Unix.O_CLOEXEC] 0 in
    Fun.protect ~finally:(fun () -> Unix.close fd) (fun () ->
      let size = Unix.LargeFile.lseek fd 0L Unix.SEEK_END in
      match load t ~device:name ~size (read_at fd) with
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
    let is_known = List.exists (fun w -> List.mem w filesystem_words) words in
    if is_known then
      Messages.debug "%s: is now %s; its secondary LUKS2 header is old" name
        contents;
    is_known
  )

(* A device that was formatted anew may keep a secondary LUKS2 header, whose
 * place the new contents has not reached yet: it is not looked for.
 *)
let read_attached (g : Guestfs.guestfs) t (kind, name) =
  let first = read_first g name in
  match if begins_with_luks first then None else contents first with
  | Some contents ->
     Messages.debug "%s: is %s" name contents;
     if contents = lvm_label then Physical_volume else Other
  | None ->
     let size = g#blockdev_getsize64 name in
     match load t ~device:name ~size (reader g name first) with
     | None -> Other
     | Some _ when is_left_over g name first -> Other
     | Some (luks, info) ->
        Luks { name; kind; size; luks; info; detached = None }
     | exception Clevis.Error _ when is_left_over g name first -> Other

let read_either g t device =
  match List.assoc_opt (snd device) t.detached with
  | Some file -> Luks (read_detached g t device file)
  | None -> read_attached g t device

let read (g : Guestfs.guestfs) t (kind, name) =
  Signals.check ();
  match
    Timing.step Header (fun () -> read_either g t (kind, name))
  with
  | Luks device as found ->
     let note note = Messages.warning "%s: %s" name note in
     Option.iter note device.info.note;
     found
  | (Refused _ | Physical_volume | Other) as found -> found
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
