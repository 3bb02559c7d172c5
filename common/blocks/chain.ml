(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Disk images and their backing files.
 *)

open Printf

open Gettext

type element = {
  file : string;
  format : Image_format.t;
  block_device : bool;
}

type t = {
  top : element;
  backing : element list;
  found_out : bool;
}

(* Those of hosts that make a snapshot a day are merged before. *)
let longest = 64

let rec fill fd buf filled =
  match Unix.read fd buf filled (Bytes.length buf - filled) with
  | 0 -> filled
  | n -> fill fd buf (filled + n)
  | exception Unix.Unix_error (Unix.EINTR, _, _) ->
     Signals.check ();
     fill fd buf filled

(* Nothing where there is no such place. *)
let read_at fd offset length =
  let buf = Bytes.create length in
  match Unix.LargeFile.lseek fd offset Unix.SEEK_SET with
  | (_ : int64) -> Bytes.sub_string buf 0 (fill fd buf 0)
  | exception Unix.Unix_error (Unix.EINVAL, _, _) -> ""

(* What was a file a moment ago may be a pipe, for which nobody shall wait. *)
let open_file file = Unix.openfile file Unix.[O_RDONLY; O_CLOEXEC; O_NONBLOCK] 0

let with_file file f =
  let fd = open_file file in
  Fun.protect ~finally:(fun () -> Unix.close fd) (fun () -> f (read_at fd))

(* A name from a header shall not end a line of a message. *)
let shown = Escape.text

let fail_by_header name ~reason ~wanted ~hint =
  match wanted with
  | Some file ->
     Failure.error ~hint (f_"%s: %s: '%s', which is not followed") name reason
       (shown file)
  | None -> Failure.error ~hint "%s: %s" name reason

(* What the header of an image names, or why that is refused. *)
let named name format read =
  try Container.named format read
  with Container.Refused { reason; wanted; hint } ->
    fail_by_header name ~reason ~wanted ~hint

let kind_of_file file =
  match (Unix.stat file).st_kind with
  | S_REG -> Some false
  | S_BLK -> Some true
  | S_DIR | S_CHR | S_LNK | S_FIFO | S_SOCK -> None

(* qemu takes what stands before a colon for a protocol. *)
let has_protocol file =
  match String.index_opt file ':', String.index_opt file '/' with
  | Some colon, Some slash -> colon < slash
  | Some _, None -> true
  | None, _ -> false

(* Files that are no files: to read them may take, change or await something.
 * Those of the kernel are empty for stat, or below these folders, or in the same
 * filesystem, mounted at another place.
 *)
let is_of_kernel file =
  let real = Unix.realpath file in
  let { Unix.LargeFile.st_size; st_dev; _ } = Unix.LargeFile.stat real in
  let is_in folder =
    String.starts_with ~prefix:(folder ^ "/") real
    || (match Unix.LargeFile.stat folder with
        | { st_dev = its; _ } -> its = st_dev
        | exception Unix.Unix_error _ -> false) in
  st_size = 0L || List.exists is_in ["/proc"; "/sys"]

let refuse_backing above file reason =
  Failure.error
    ~hint:(s_"Only files and block devices of this host are followed.  If this \
              disk was given without --format, and is a raw disk, its guest may \
              have written that: use --format=raw.")
    (f_"%s: its backing file is '%s', %s") above (shown file) reason

(* Relative to the folder of the image above, as qemu does it. *)
let find_backing above file =
  let refuse = refuse_backing above file in
  if file = "" || has_protocol file then
    refuse (s_"which is not a file of this host");
  let path =
    if Filename.is_relative file then
      Filename.concat (Filename.dirname above) file
    else file in
  match kind_of_file path with
  | Some true -> path, true
  | Some false when not (is_of_kernel path) -> path, false
  | Some _ | None -> refuse (s_"which is neither a file nor a block device")
  | exception Unix.Unix_error (code, _, _) ->
     refuse (sprintf (f_"which cannot be used: %s") (Unix.error_message code))

let backing_format above file = function
  | None ->
     Failure.error
       ~hint:(sprintf (f_"If you know it, write it into the image: qemu-img \
                          rebase -u -b %s -F FORMAT %s") (Filename.quote file)
                (Filename.quote above))
       (f_"%s: the format of its backing file '%s' is not written in it")
       above (shown file)
  | Some name ->
     match Image_format.of_name name with
     | Some format -> format
     | None ->
        Failure.error (f_"%s: the format of its backing file '%s' is '%s', \
                          which is not one of: %s") above (shown file)
          (shown name)
          (String.concat ", " Image_format.names)

(* [above] are those that were walked, the last one first. *)
let rec walk_backing above element =
  let { file = name; format; _ } = element in
  if List.length above >= longest then
    Failure.error (f_"%s: there are more than %d backing files above it") name
      longest;
  match with_file name (named name format) with
  | Nothing -> List.rev (element :: above)
  | Backing { file; format } ->
     let format = backing_format name file format in
     let file, block_device = find_backing name file in
     walk_backing (element :: above) { file; format; block_device }
  | exception Unix.Unix_error (code, _, _) ->
     Failure.error "%s: %s" name (Unix.error_message code)

let detect file =
  with_file file (fun read -> Image_format.detect (read 0L Image_format.head))

let walk ?format file =
  let name = file and file = Files.absolute file in
  try
    let block_device = kind_of_file file = Some true in
    let found_out = format = None in
    let format =
      match format with
      | Some format -> format
      | None -> detect file in
    match walk_backing [] { file; format; block_device } with
    | top :: backing -> { top; backing; found_out }
    | [] -> assert false
  with Unix.Unix_error (code, _, _) ->
    Failure.error "%s: %s" name (Unix.error_message code)

let check_alone name format read =
  match named name format read with
  | Nothing -> ()
  | Backing { file; _ } ->
     fail_by_header name ~reason:(s_"it has a backing file")
       ~wanted:(Some file)
       ~hint:(s_"Only images that are files of this host may have one.")
