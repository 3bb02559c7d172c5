(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Formats of disk images: their names, and the first bytes of each.
 *)

type t =
  | Raw
  | Qcow2
  | Qcow
  | Qed
  | Vmdk
  | Vdi
  | Vhdx
  | Vpc
  | Parallels
  | Bochs
  | Cloop
  | Dmg

let by_name = [
  "raw", Raw; "qcow2", Qcow2; "qcow", Qcow; "qed", Qed; "vmdk", Vmdk;
  "vdi", Vdi; "vhdx", Vhdx; "vpc", Vpc; "parallels", Parallels;
  "bochs", Bochs; "cloop", Cloop; "dmg", Dmg;
]

let names = List.map fst by_name

let name format =
  fst (List.find (fun (_, other) -> other = format) by_name)

(* The protocol below the format is what these name in fact. *)
let of_name = function
  | "host_device" | "file" | "aio" -> Some Raw
  | name -> List.assoc_opt name by_name

let head = 512

let descriptor = "# Disk DescriptorFile"

(* Texts, and where they stand. *)
let magics = [
  Qcow2, 0, "QFI\xfb\000\000\000\002";
  Qcow2, 0, "QFI\xfb\000\000\000\003";
  Qcow, 0, "QFI\xfb\000\000\000\001";
  Qed, 0, "QED\000";
  Vmdk, 0, "KDMV";
  Vmdk, 0, "COWD";
  Vmdk, 0, descriptor;
  Vdi, 64, "\x7f\x10\xda\xbe";
  Vhdx, 0, "vhdxfile";
  Vpc, 0, "conectix";
  Parallels, 0, "WithoutFreeSpace";
  Parallels, 0, "WithouFreSpacExt";
]

let detect first =
  let is_at offset text =
    let length = String.length text in
    String.length first >= offset + length
    && String.sub first offset length = text in
  match
    List.find_opt (fun (_, offset, text) -> is_at offset text) magics
  with
  | Some (format, _, _) -> format
  | None -> Raw
