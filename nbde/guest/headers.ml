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
  | Bad_place of string
  | Other

type t = {
  detached : (string * string) list;
  mutable loaded : Clevis.Luks.t list;
  mutable bytes : int;          (* of them *)
}

let make ~detached = { detached; loaded = []; bytes = 0 }

(* What the vault can hold; no guest has a tenth of it.  A disk may have as many
 * partitions as it likes, all of them the same large header.
 *)
let most_headers = 200
let most_bytes = 256 * 1024 * 1024

exception Too_many of string

let check_number t =
  if List.length t.loaded > most_headers then
    raise (Too_many (Printf.sprintf (f_"this is more than %d LUKS headers")
                       most_headers))

let check_room t =
  if t.bytes > most_bytes then
    raise (Too_many (Printf.sprintf (f_"this is more than %s of LUKS headers")
                       (Humansize.bytes (Int64.of_int most_bytes))))

let detached { detached; _ } = detached

let release t =
  List.iter Clevis.Luks.release t.loaded;
  t.loaded <- []

(* Load a header of size bytes, or None if it is not LUKS. *)
let load t ~device ~size fetch =
  let luks = Clevis.Luks.create ~device ~size in
  t.loaded <- luks :: t.loaded;
  let forget () =
    Clevis.Luks.release luks;
    t.loaded <- List.tl t.loaded in
  let rec loop () =
    match Clevis.Luks.next luks with
    | Not_luks -> None
    | Ready ->
       check_number t;
       Some (luks, Clevis.Luks.info luks)
    | Need { offset; length } ->
       check_room t;
       Messages.debug "%s: reading %d bytes at %Ld" device length offset;
       let bytes = fetch offset length in
       t.bytes <- t.bytes + String.length bytes;
       Clevis.Luks.supply luks ~offset bytes;
       loop () in
  match loop () with
  | Some _ as found -> found
  | None ->
     forget ();
     None
  | exception e ->
     forget ();
     raise e

(* How block devices are read. *)

type reads = {
  size : string -> int64;
  read : string -> offset:int64 -> length:int -> string;
  first : int;
  little : int;
  ahead : int;
  describe : string -> string;
}

exception Unreadable of string

(* A detached header, which is a file of this host. *)
let read_detached reads t (kind, name) file =
  let fail reason =
    Failure.error (f_"header of %s: %s: %s") name file reason in
  try
    let fd = Unix.openfile file [Unix.O_RDONLY; Unix.O_CLOEXEC] 0 in
    Fun.protect ~finally:(fun () -> Unix.close fd) (fun () ->
      let size = Unix.LargeFile.lseek fd 0L Unix.SEEK_END in
      match load t ~device:name ~size (Chain.read_at fd) with
      | Some (luks, info) ->
         { name; kind; size = reads.size name; luks; info;
           detached = Some file }
      | None -> fail (s_"is not a LUKS header"))
  with Unix.Unix_error (code, _, _) -> fail (Unix.error_message code)

(* Where the first read meets a damaged place, the header before it may be
 * whole.
 *)
let read_first { read; first; little; _ } name =
  try read name ~offset:0L ~length:first
  with Unreadable _ when little < first -> read name ~offset:0L ~length:little

(* What was read last is kept. *)
let reader { read; ahead; _ } name first =
  let start = ref 0L and data = ref first in
  fun offset length ->
    let skip = Int64.sub offset !start in
    let needed = Int64.add skip (Int64.of_int length) in
    if skip >= 0L && needed <= Int64.of_int (String.length !data) then
      String.sub !data (Int64.to_int skip) length
    else (
      start := offset;
      data := read name ~offset ~length:(max length ahead);
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

let is_left_over reads name first =
  not (begins_with_luks first)
  && (
    let contents = reads.describe name in
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
let read_attached reads t (kind, name) =
  let first = read_first reads name in
  match if begins_with_luks first then None else contents first with
  | Some contents ->
     Messages.debug "%s: is %s" name contents;
     if contents = lvm_label then Physical_volume else Other
  | None ->
     let size = reads.size name in
     match load t ~device:name ~size (reader reads name first) with
     | None -> Other
     | Some _ when is_left_over reads name first -> Other
     | Some (luks, info) ->
        Luks { name; kind; size; luks; info; detached = None }
     | exception Clevis.Error _ when is_left_over reads name first -> Other

let read_either reads t device =
  match List.assoc_opt (snd device) t.detached with
  | Some file -> Luks (read_detached reads t device file)
  | None -> read_attached reads t device

let limit name reason =
  Types.error Limit name ~hint:(s_"Give fewer disks at once.") reason

let read reads t (kind, name) =
  Signals.check ();
  match
    Timing.step Header (fun () -> read_either reads t (kind, name))
  with
  | found -> found
  | exception Clevis.Error error -> Refused { name; kind; error }
  | exception Too_many reason ->
     Refused { name; kind; error = limit name reason }
  | exception Unreadable reason -> Bad_place reason

let say name = function
  | Luks { info = { note; _ }; _ } ->
     Option.iter (Messages.warning "%s: %s" name) note
  | Refused { error; _ } ->
     Messages.warning "%s" error.line;
     Option.iter (Messages.hint "%s") error.hint
  | Physical_volume | Bad_place _ | Other -> ()
