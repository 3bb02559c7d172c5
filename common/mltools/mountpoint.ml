(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What is mounted on a folder of this host, and the end of it.
 *)

external end_on_signal_c : string -> Unix.file_descr -> int -> unit
  = "nbde_mountpoint_end_on_signal"
external ended : unit -> unit = "nbde_mountpoint_ended"
external umount : string -> bool = "nbde_mountpoint_umount"

type mount = {
  id : string;
  fstype : string;
}

(* Space, tab, newline and backslash are written in octal. *)
let unescape text =
  let octal = Str.regexp "\\\\\\([0-7][0-7][0-7]\\)" in
  let decode text =
    let digits = Str.matched_group 1 text in
    String.make 1 (Char.chr (int_of_string ("0o" ^ digits) land 255)) in
  Str.global_substitute octal decode text

(* "ID PARENT MAJOR:MINOR ROOT MOUNTPOINT OPTIONS [...] - FSTYPE SOURCE ...",
 * see proc(5).
 *)
let parse line =
  match String.split_on_char ' ' line with
  | id :: _ :: _ :: _ :: mountpoint :: others ->
     let rec fstype = function
       | "-" :: fstype :: _ -> fstype
       | _ :: others -> fstype others
       | [] -> "" in
     Some (unescape mountpoint, { id; fstype = fstype others })
  | _ -> None

let rec input_lines channel =
  match input_line channel with
  | line -> line :: input_lines channel
  | exception End_of_file -> []

let lines file =
  let channel = open_in_bin file in
  Fun.protect ~finally:(fun () -> close_in_noerr channel) (fun () ->
    input_lines channel)

(* Not by stat(2), which waits for whoever serves the mount. *)
let topmost directory =
  List.filter_map parse (lines "/proc/self/mountinfo")
  |> List.rev
  |> List.assoc_opt directory

let is_fuse mount = mount.fstype = "fuse" || mount.fstype = "fuseblk"
  || String.starts_with ~prefix:"fuse." mount.fstype

let is_ours directory ~before =
  match topmost directory with
  | Some mount -> is_fuse mount && Some mount <> before
  | None -> false

let detach directory ~before =
  if is_ours directory ~before && not (umount directory) then
    List.iter
      (fun program ->
        if is_ours directory ~before then
          ignore (Process.succeeds program ["-u"; "-q"; "-z"; "--"; directory]))
      ["fusermount"; "fusermount3"]

let descriptors () =
  let folder = "/proc/self/fd" in
  let target name =
    match Unix.readlink (Filename.concat folder name) with
    | target -> Some (Process.descriptor (int_of_string name), target)
    | exception Unix.Unix_error _ -> None in
  List.filter_map target (Array.to_list (Sys.readdir folder))

let end_on_signal directory ~child =
  let devices =
    List.filter (fun (_, target) -> target = "/dev/fuse") (descriptors ()) in
  List.iter (fun (device, _) -> end_on_signal_c directory device child) devices
