(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * MS-DOS partition tables, by the rules of the kernel.
 *)

open Gettext
open Step

type t =
  | Nothing
  | Fat
  | Partitions of Partition.t list

(* The kernel counts in sectors of 512 bytes; the table, in those of the
   disk. *)
type entry = { boot : int; kind : int; start : int; sectors : int }

let entry unit sector i =
  let at = 446 + 16 * i in
  { boot = Field.byte sector at;
    kind = Field.byte sector (at + 4);
    start = Field.le32 sector (at + 8) * unit;
    sectors = Field.le32 sector (at + 12) * unit }

let entries unit sector = List.init 4 (entry unit sector)

let is_signed sector = Field.le16 sector 510 = 0xaa55

let is_extended { kind; _ } = kind = 0x05 || kind = 0x0f || kind = 0x85

(* Some kernels look for a table of another kind in such a partition, and the
   appliance may have any kernel. *)
let foreign = [
  0x42, "LDM"; 0x63, "UnixWare"; 0x81, "Minix"; 0xa5, "FreeBSD";
  0xa6, "OpenBSD"; 0xa9, "NetBSD"; 0xbf, "Solaris"; 0xee, "GPT";
]

let solaris_or_swap = 0x82
let solaris_sanity = 0x600d_deee

let check_foreign (block : Block.t) { kind; start; _ } =
  Option.iter (Unknown.because (f_"an MBR with a %s partition"))
    (List.assoc_opt kind foreign);
  if kind <> solaris_or_swap then return ()
  else
    let* label = read block ((start + 1) * 512) 512 in
    if Field.le32 label 12 = solaris_sanity then
      Unknown.because (f_"an MBR with a %s partition") "Solaris";
    return ()

let make block number { start; sectors; _ } =
  Partition.make block ~number ~start:(start * 512) ~length:(sectors * 512)

(* Each link of the chain is a table with a partition and the next link.  The
   kernel gives up after so many without a partition.  It follows a chain that
   bites its tail until it has no numbers left: nobody makes such a one in
   earnest. *)
let most_empty = 100

(* What the kernel takes for a partition.  The third and fourth entry often hold
   junk, so they are looked at more closely. *)
let is_logical ~first ~link i entry =
  entry.sectors > 0 && not (is_extended entry)
  && (i < 2
      || (let start = link.start + entry.start in
          entry.start + entry.sectors <= link.sectors
          && start >= first.start
          && start + entry.sectors <= first.start + first.sectors))

let rec chain (block : Block.t) ~first ~link (empty, number) =
  if empty >= most_empty then
    Unknown.because (f_"a chain of logical partitions without end");
  if link.start * 512 >= block.size then return []
  else
    let* sector = read block (link.start * 512) 512 in
    if not (is_signed sector) then return []
    else
      let entries = entries (block.sector_size / 512) sector in
      let here =
        List.filteri (is_logical ~first ~link) entries
        |> List.map (fun e -> { e with start = e.start + link.start }) in
      if number + List.length here >= Partition.most then
        Unknown.because (f_"too many logical partitions");
      let named = List.mapi (fun i entry -> number + i, entry) here in
      let number = number + List.length here in
      match List.find_opt (fun e -> e.sectors > 0 && is_extended e) entries with
      | None -> return named
      | Some e ->
         let link = { e with start = first.start + e.start } in
         let empty = if here = [] then empty + 1 else 0 in
         let* rest = chain block ~first ~link (empty, number) in
         return (named @ rest)

(* An extended partition is a device of one or two sectors, for boot loaders. *)
let shortened (block : Block.t) entry =
  { entry with
    sectors = min entry.sectors (max (block.sector_size / 512) 2) }

let partitions block table =
  let used =
    List.filter (fun (_, entry) -> entry.sectors > 0)
      (List.mapi (fun i entry -> i + 1, entry) table) in
  let rec logical next = function
    | [] -> return []
    | (_, first) :: rest ->
       let* found = chain block ~first ~link:first (0, next) in
       let* others = logical (next + List.length found) rest in
       return (found @ others) in
  let* logical =
    logical 5 (List.filter (fun (_, entry) -> is_extended entry) used) in
  let primary =
    List.map (fun (number, entry) ->
      number, if is_extended entry then shortened block entry else entry)
      used in
  (* Logical ones are not searched for tables of others. *)
  let* _ = map_list (fun (_, entry) -> check_foreign block entry) primary in
  let made =
    List.filter_map (fun (number, entry) -> make block number entry)
      (primary @ logical) in
  return (Partitions made)

let is_fat first =
  let media = Field.byte first 21 in
  Field.le16 first 14 <> 0 && Field.byte first 16 <> 0
  && (media >= 0xf8 || media = 0xf0)

let read (block : Block.t) first =
  let table = entries (block.sector_size / 512) first in
  let is_odd { boot; _ } = boot <> 0 && boot <> 0x80 in
  if not (is_signed first) then return Nothing
  else if is_odd (List.hd table) then
    return (if is_fat first then Fat else Nothing)
  else if List.exists is_odd table then return Nothing
  else if List.exists (fun { kind; _ } -> kind = 0xee) table then
    Unknown.because (f_"an MBR with a %s partition") "GPT"
  else partitions block table

let seems_partitioned first =
  is_signed first
  && List.exists (fun { sectors; _ } -> sectors > 0) (entries 1 first)
