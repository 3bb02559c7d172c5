(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Headers of disk images, as far as they name other files.
 *)

open Printf

open Gettext

type named =
  | Nothing
  | Backing of { file : string; format : string option }

exception Refused of { reason : string; wanted : string option; hint : string }

type read = int64 -> int -> string

let refuse ?wanted ~hint reason = raise (Refused { reason; wanted; hint })

let convert_hint =
  s_"Make one file of it on the machine where it belongs, for example with \
     qemu-img convert, and name that."

(* A header that ends too early has zeros. *)
let padded s length =
  if String.length s >= length then s
  else s ^ String.make (length - String.length s) '\000'

let no_nul s =
  match String.index_opt s '\000' with
  | Some i -> String.sub s 0 i
  | None -> s

(* Numbers of a header, as they are used: none of them can be negative, and one
 * that is too large for an offset in a file is as good as any other.
 *)
let be32 s at = Int32.to_int (String.get_int32_be s at) land 0xffff_ffff
let le32 s at = Int32.to_int (String.get_int32_le s at) land 0xffff_ffff

let bit n number = Int64.logand number (Int64.shift_left 1L n) <> 0L

(* qemu takes no longer one. *)
let longest_name = 1023

let name_at read offset length =
  if length > longest_name then
    refuse ~hint:convert_hint
      (s_"the name of its backing file is longer than qemu takes it");
  no_nul (read offset length)

(* qcow2: extensions of the header are pairs of a type and data. *)

let extension_backing_format = 0xe279_2aca
let extension_data_file = 0x4441_5441

(* All that qemu writes is in the first kilobyte. *)
let longest_extensions = 64 * 1024

(* The list ends with the type 0, or where it has no room any more.  qemu reads it
 * to the end: what we do not see of it, it does, so it must end in what we see.
 *)
let extensions read ~from ~until =
  let odd () =
    refuse ~hint:convert_hint (s_"the extensions of its header are damaged") in
  let length = until - from in
  let area = read (Int64.of_int from) (max 0 (min length longest_extensions)) in
  let rec loop at found =
    if at >= length then found
    else if at + 8 > String.length area then odd ()
    else
      let kind = be32 area at and size = be32 area (at + 4) in
      if kind = 0 then found
      else if size > String.length area - at - 8 then odd ()
      else
        let data = String.sub area (at + 8) size in
        if List.mem_assoc kind found
           && (kind = extension_backing_format || kind = extension_data_file)
        then odd ();
        loop (at + 8 + (size + 7) / 8 * 8) ((kind, no_nul data) :: found) in
  loop 0 []

let qcow2_header = 104

let qcow2 read =
  let header = padded (read 0L qcow2_header) qcow2_header in
  let version = be32 header 4 in
  let from =
    if version >= 3 then max qcow2_header (be32 header 100) else 72 in
  let name_offset = String.get_int64_be header 8 in
  let name_length = be32 header 16 in
  let cluster_bits = be32 header 20 in
  (* qemu takes no smaller and no larger cluster. *)
  let cluster = 1 lsl (max 9 (min 21 cluster_bits)) in
  let until =
    if name_offset > 0L && name_offset < Int64.of_int cluster then
      Int64.to_int name_offset
    else cluster in
  let extensions = extensions read ~from ~until in
  if version >= 3 && bit 2 (String.get_int64_be header 72) then
    refuse ?wanted:(List.assoc_opt extension_data_file extensions)
      ~hint:convert_hint (s_"its data are in another file");
  if be32 header 32 <> 0 then
    refuse ~hint:convert_hint (s_"it is encrypted in its own way");
  if name_offset = 0L || name_length = 0 then Nothing
  else
    Backing {
      file = name_at read name_offset name_length;
      format = List.assoc_opt extension_backing_format extensions;
    }

let qcow read =
  let header = padded (read 0L 48) 48 in
  if be32 header 36 <> 0 then
    refuse ~hint:convert_hint (s_"it is encrypted in its own way");
  let name_offset = String.get_int64_be header 8 in
  let name_length = be32 header 16 in
  if name_offset = 0L || name_length = 0 then Nothing
  else Backing { file = name_at read name_offset name_length; format = None }

let qed read =
  let header = padded (read 0L 64) 64 in
  let features = String.get_int64_le header 16 in
  if not (bit 0 features) then Nothing
  else
    let name_offset = Int64.of_int (le32 header 56) in
    let file = name_at read name_offset (le32 header 60) in
    Backing { file; format = if bit 2 features then Some "raw" else None }

(* A vmdk is a sparse file with a descriptor in it, or a descriptor alone: a
 * text that names files, or a device, as its extents.
 *)

let longest_descriptor = 20 * 1024

let split_lines text =
  List.concat_map (String.split_on_char '\r') (String.split_on_char '\n' text)

(* What stands between the first two quotation marks of a line. *)
let quoted line =
  match String.split_on_char '"' line with
  | _ :: text :: _ -> Some text
  | _ -> None

let is_extent line =
  List.exists (fun prefix -> String.starts_with ~prefix line)
    ["RW "; "RDONLY "; "NOACCESS "]

(* Where it stands does not matter to qemu. *)
let parent_hint = "parentFileNameHint"

(* A text may be without end, or without lines. *)
let find_parent text =
  let length = String.length parent_hint in
  let rec search i =
    match String.index_from_opt text i parent_hint.[0] with
    | Some i when i + length <= String.length text ->
       if String.sub text i length = parent_hint then
         Some (String.sub text i (String.length text - i))
       else search (i + 1)
    | Some _ | None -> None in
  search 0

let refuse_parent text =
  Option.iter (fun text ->
    refuse ?wanted:(quoted (List.hd (split_lines text))) ~hint:convert_hint
      (s_"it only has what differs from another file")) (find_parent text)

let refuse_extents text =
  let wanted =
    Option.bind (List.find_opt is_extent (split_lines text)) quoted in
  let hint =
    match wanted with
    | Some file when String.ends_with ~suffix:"-flat.vmdk" file ->
       sprintf (f_"The disk itself is in the file beside it: name that, with \
                   --format=raw before it.")
    | Some _ | None -> convert_hint in
  refuse ?wanted ~hint (s_"its data are in another file")

(* qemu looks for a parent at the second sector, wherever the header has its
 * descriptor.
 *)
let vmdk read =
  let header = padded (read 0L 512) 512 in
  let text_at sector = read (Int64.mul 512L sector) longest_descriptor in
  match String.sub header 0 4 with
  | "COWD" -> refuse_parent (text_at 1L); Nothing
  | "KDMV" ->
     (* In sectors; a descriptor further on than any file is none. *)
     let sector = String.get_int64_le header 28 in
     let text =
       if sector > 0L && sector < 0x10_0000_0000L then text_at sector else "" in
     (* Without a capacity it is only the shell of a descriptor. *)
     if String.get_int64_le header 12 = 0L then refuse_extents (no_nul text);
     refuse_parent (text_at 1L);
     refuse_parent text;
     Nothing
  | _ -> refuse_extents (no_nul (text_at 0L))

(* What is not in such an image, qemu takes for zeros. *)
let differencing = 4

let vpc read =
  let footer = padded (read 0L 512) 512 in
  if String.starts_with ~prefix:"conectix" footer
     && be32 footer 60 = differencing then
    refuse ~hint:convert_hint (s_"it only has what differs from another file");
  Nothing

let named format read =
  match (format : Image_format.t) with
  | Qcow2 -> qcow2 read
  | Qcow -> qcow read
  | Qed -> qed read
  | Vmdk -> vmdk read
  | Vpc -> vpc read
  | Raw | Vdi | Vhdx | Parallels | Bochs | Cloop | Dmg -> Nothing
