(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The partitions of a disk or of an MD array.
 *)

open Gettext
open Step

let head = 32 * 1024

let rdsk_sectors = 16

(* A partition table of Atari has no magic. *)
let is_atari (block : Block.t) first =
  let sectors = block.size / 512 in
  let is_alphanumeric c =
    match Char.chr c with
    | 'a'..'z' | 'A'..'Z' | '0'..'9' -> true
    | _ -> false in
  let is_valid i =
    let at = 0x1c6 + 12 * i in
    let start = Field.be32 first (at + 4)
    and size = Field.be32 first (at + 8) in
    Field.byte first at land 1 = 1
    && List.for_all (fun j -> is_alphanumeric (Field.byte first (at + j)))
         [1; 2; 3]
    && start + size <= sectors in
  List.exists is_valid [0; 1; 2; 3]

(* Where the magic of a table stands. *)
let magics = [
  "AIX", [0, "\xc9\xc2\xd4\xc1"];
  "SGI", [0, "\x0b\xe5\xa9\x41"];
  "Apple", [0, "ER"];
  "OSF/1 or BSD", [64, "\x57\x45\x56\x82"];
  "BSD", [512, "\x57\x45\x56\x82"];
  "Sun", [508, "\xda\xbe"];
  "Karma", [510, "\x56\xab"];
  "SYSV68", [248, "MOTOROLA"];
  "Ultrix", [16312, "\x57\x29\x03\x00\x01\x00\x00\x00"];
]
  @ List.init rdsk_sectors (fun i -> "Amiga", [512 * i, "RDSK"])

let find_foreign block first =
  let stands (at, text) = Field.is_at first at text in
  match List.find_opt (fun (_, texts) -> List.for_all stands texts) magics with
  | Some (name, _) -> Some name
  | None -> if is_atari block first then Some "Atari" else None

(* The kernel looks for these before it looks for an MBR. *)
let before_mbr = ["AIX"; "SGI"]

let refuse = Unknown.because (f_"a partition table of %s")

let by_number =
  List.sort (fun (a : Partition.t) (b : Partition.t) ->
    compare a.number b.number)

let read block first =
  let* gpt = Gpt.read block first in
  match gpt with
  | Some partitions -> return partitions
  | None ->
     let foreign = find_foreign block first in
     Option.iter (fun name -> if List.mem name before_mbr then refuse name)
       foreign;
     let* mbr = Mbr.read block first in
     match mbr with
     | Partitions partitions -> return (by_number partitions)
     | Fat -> return []
     | Nothing ->
        Option.iter refuse foreign;
        return []
