(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Logical volumes of LVM2.
 *)

open Gettext
open Printf

type t = { volumes : Block.t list; unknown : (string * string) list }

(* Where the extents of a physical volume begin, and on what. *)
type physical = { start : int; count : int; block : Block.t option }

type group = {
  name : string;
  extent_size : int;            (* bytes *)
  physical : (string * physical) list;
}

let longest_name = 127

let is_of_name = function
  | 'a'..'z' | 'A'..'Z' | '0'..'9' | '_' | '.' | '+' | '-' -> true
  | _ -> false

let check_name name =
  if name = "" || name = "." || name = ".." || name.[0] = '-'
     || String.length name > longest_name
     || not (String.for_all is_of_name name) then
    Unknown.because (f_"an LVM name that LVM does not allow")

(* Words that nobody here knows may change what LVM does. *)
let check_words section key ~known =
  List.iter (fun word ->
    if not (List.mem word known) then
      Unknown.because (f_"LVM's %s '%s'") key (Escape.text word))
    (Lvm_text.words section key)

let is_of_uuid = function
  | 'a'..'z' | 'A'..'Z' | '0'..'9' | '!' | '#' -> true
  | _ -> false

(* The UUID of a section, which LVM wants. *)
let uuid section =
  let uuid =
    String.concat ""
      (String.split_on_char '-' (Lvm_text.text section "id")) in
  if String.length uuid <> 32 || not (String.for_all is_of_uuid uuid) then
    Unknown.because (f_"an LVM UUID that LVM does not allow");
  uuid

(* The name of the group, and its section. *)
let group_section text =
  let top = Lvm_text.parse text in
  if Lvm_text.text top "contents" <> "Text Format Volume Group"
     || Lvm_text.number top "version" <> 1 then
    Unknown.because (f_"LVM metadata of another version");
  match Lvm_text.sections top with
  | [name, section] ->
     check_name name;
     Lvm_text.check top
       ~needed:[name, A_section; "contents", A_text; "version", A_number]
       ~allowed:["description", A_text; "creation_host", A_text;
                 "creation_time", A_number];
     name, section
  | _ -> Unknown.because (f_"LVM metadata without a volume group")

let most_physical = 1024
let most_logical = 4096
let most_segments = 4096

(* LVM counts in 32 bits. *)
let most_extents = 0xffff_ffff

let check_count sections most =
  if List.length sections > most then
    Unknown.because (f_"an LVM volume group with more than %d parts") most

let parse_physical labels (name, section) =
  Lvm_text.check section
    ~needed:["id", A_text; "status", A_list; "pe_start", A_number;
             "pe_count", A_number]
    ~allowed:["device", A_text; "flags", A_list; "dev_size", A_number;
              "tags", A_list; "device_id", A_text; "device_id_type", A_text;
              "ba_start", A_number; "ba_size", A_number];
  check_words section "status" ~known:["ALLOCATABLE"];
  check_words section "flags" ~known:[];
  let uuid = uuid section in
  let label =
    List.find_opt (fun (label : Lvm_label.t) -> label.uuid = uuid) labels in
  Option.iter (fun (label : Lvm_label.t) ->
    if not label.is_used then
      Unknown.because (f_"a physical volume that is not marked as used")) label;
  let block = Option.map (fun (label : Lvm_label.t) -> label.block) label in
  let count = Lvm_text.number section "pe_count" in
  if count > most_extents then
    Unknown.because (f_"an LVM physical volume with %d extents") count;
  name,
  { start = Field.times 512 (Lvm_text.number section "pe_start"); count; block }

let parse_group labels (name, section) =
  Lvm_text.check section
    ~needed:["id", A_text; "seqno", A_number; "format", A_text;
             "status", A_list; "extent_size", A_number; "max_lv", A_number;
             "max_pv", A_number; "physical_volumes", A_section]
    ~allowed:["flags", A_list; "metadata_copies", A_number;
              "logical_volumes", A_section; "tags", A_list;
              "allocation_policy", A_text; "system_id", A_text;
              "lock_type", A_text];
  if Lvm_text.text section "format" <> "lvm2" then
    Unknown.because (f_"LVM metadata of another format");
  check_words section "status" ~known:["RESIZEABLE"; "READ"; "WRITE"];
  check_words section "flags" ~known:[];
  (* Then it belongs to one host only. *)
  List.iter (fun key ->
    match Lvm_text.find section key with
    | None | Some (Text "") -> ()
    | Some _ -> Unknown.because (f_"an LVM volume group with a %s") key)
    ["system_id"; "lock_type"];
  ignore (uuid section);
  let physical =
    Lvm_text.sections (Lvm_text.inner section "physical_volumes") in
  check_count physical most_physical;
  { name;
    extent_size = Field.times 512 (Lvm_text.number section "extent_size");
    physical = List.map (parse_physical labels) physical }

(* Segments *)

type segment = {
  first : int;                  (* in extents of the logical volume *)
  length : int;
  pv : string;
  on : physical;
  from : int;                   (* in extents of the physical volume *)
}

let stripe section =
  match Lvm_text.find section "stripes" with
  | Some (List [Text name; Number from]) when from >= 0 -> name, from
  | Some _ | None -> Unknown.because (f_"LVM metadata that cannot be read")

let parse_segment group section =
  let kind = Lvm_text.text section "type" in
  if kind <> "striped" then
    Unknown.because (f_"a logical volume of type %s") (Escape.text kind);
  if Lvm_text.number section "stripe_count" <> 1 then
    Unknown.because (f_"a striped logical volume");
  Lvm_text.check section
    ~needed:["start_extent", A_number; "extent_count", A_number;
             "type", A_text; "stripe_count", A_number; "stripes", A_list]
    ~allowed:["tags", A_list];
  let first = Lvm_text.number section "start_extent"
  and length = Lvm_text.number section "extent_count" in
  let name, from = stripe section in
  match List.assoc_opt name group.physical with
  | Some on when length > 0 && from + length <= on.count ->
     { first; length; pv = name; on; from }
  | Some _ | None ->
     Unknown.because (f_"a logical volume outside of its physical volumes")

(* In bytes; none if its physical volume is missing. *)
let extents group { length; on; from; _ } =
  let bytes n = Field.times group.extent_size n in
  match on.block with
  | None -> []
  | Some block ->
     Block.part block ~offset:(on.start + bytes from) ~length:(bytes length)

(* When it was made, and where, is there or not. *)
let check_logical section segments =
  let needed =
    ["id", Lvm_text.A_text; "status", A_list; "segment_count", A_number]
    @ List.map (fun name -> name, Lvm_text.A_section) segments
  and allowed =
    ["flags", Lvm_text.A_list; "tags", A_list; "allocation_policy", A_text;
     "read_ahead", A_number]
  and birth = ["creation_time", Lvm_text.A_number; "creation_host", A_text] in
  let is_there (name, _) = Lvm_text.find section name <> None in
  if List.exists is_there birth then
    Lvm_text.check section ~needed:(needed @ birth) ~allowed
  else Lvm_text.check section ~needed ~allowed

let segments group section =
  let count = Lvm_text.number section "segment_count" in
  if count < 1 || count > most_segments then
    Unknown.because (f_"a logical volume of %d segments") count;
  let names = List.init count (fun i -> sprintf "segment%d" (i + 1)) in
  check_logical section names;
  let segments =
    List.map (fun name -> parse_segment group (Lvm_text.inner section name))
      names in
  let segments = List.sort (fun a b -> compare a.first b.first) segments in
  let follows at segment =
    if segment.first <> at then
      Unknown.because (f_"a logical volume with gaps");
    at + segment.length in
  segments, List.fold_left follows 0 segments

let skipped = "ACTIVATION_SKIP"

let visible = "VISIBLE"

(* The appliance activates groups that are complete (pvscan --activate ay), and
   lists the volumes of others, too. *)
let is_complete group =
  List.for_all (fun (_, { block; _ }) -> block <> None) group.physical

(* Its segments, and the device, if lvs of libguestfs lists it. *)
let parse_logical group (name, section) =
  check_name name;
  ignore (uuid section);
  check_words section "status" ~known:["READ"; "WRITE"; visible];
  check_words section "flags" ~known:[skipped];
  if not (List.mem visible (Lvm_text.words section "status")) then
    Unknown.because (f_"a hidden logical volume");
  let segments, length = segments group section in
  let size = Field.times group.extent_size length in
  if size >= Field.far then
    Unknown.because (f_"a logical volume that is too large");
  let found = List.map (extents group) segments in
  let block = {
    Block.name = sprintf "/dev/%s/%s" group.name name;
    size;
    sector_size = 512;
    extents = if is_complete group then List.concat found else [];
  } in
  let is_listed = not (List.mem skipped (Lvm_text.words section "flags")) in
  segments, if is_listed then Some block else None

(* LVM refuses a group that gives an extent to two volumes. *)
let check_apart segments =
  let place { pv; from; _ } = pv, from in
  let sorted = List.sort (fun a b -> compare (place a) (place b)) segments in
  ignore
    (List.fold_left (fun (pv, free) segment ->
      if segment.pv = pv && segment.from < free then
        Unknown.because (f_"logical volumes over each other");
      segment.pv, segment.from + segment.length) ("", 0) sorted)

(* Each thing by itself: what is not known of one says nothing of another. *)
let try_each f items ~where =
  List.partition_map (fun item ->
    match f item with
    | found -> Left found
    | exception Unknown.Unknown reason -> Right (where item, reason)) items

let logical_volumes labels (name, section) =
  let group = parse_group labels (name, section) in
  (* A group that never had one has no such section. *)
  let logical =
    match Lvm_text.find section "logical_volumes" with
    | None -> []
    | Some _ ->
       Lvm_text.sections (Lvm_text.inner section "logical_volumes") in
  check_count logical most_logical;
  let found, unknown =
    try_each (parse_logical group) logical ~where:(fun (lv, _) ->
      sprintf "%s/%s" name (Escape.text lv)) in
  check_apart (List.concat_map fst found);
  List.filter_map snd found, unknown

(* Groups of texts: what a text says, and who has it. *)

type claim = {
  labels : Lvm_label.t list;    (* one for each copy *)
  group : string * Lvm_text.section;
}

(* Bytes of all texts that differ.  A host has one of some kilobytes. *)
let most_text = 4 * Lvm_label.longest_text

(* Copies are read once. *)
let distinct (labels : Lvm_label.t list) =
  let add found (label, text) =
    match List.partition (fun (other, _) -> other = text) found with
    | [_, labels], others -> (text, label :: labels) :: others
    | _ -> (text, [label]) :: found in
  List.rev
    (List.fold_left add []
       (List.concat_map (fun (label : Lvm_label.t) ->
          List.map (fun text -> label, text) label.texts) labels))

let read_claims labels =
  let left = ref most_text in
  let read (text, labels) =
    left := !left - String.length text;
    if !left < 0 then Unknown.because (f_"too much LVM metadata");
    { labels; group = group_section text } in
  try_each read (distinct labels) ~where:(fun (_, labels) ->
    (List.hd labels).Lvm_label.block.name)

let same_name a b = fst a.group = fst b.group

(* If they differ, LVM goes by the newest, or repairs it, or refuses: it depends
   on its version. *)
let check_agree claims =
  if List.length claims > 1 then
    Unknown.because
      (f_"physical volumes that contradict each other, or two of this name");
  let { labels; group = _, section } = List.hd claims in
  let named =
    List.map (fun (_, section) -> uuid section)
      (Lvm_text.sections (Lvm_text.inner section "physical_volumes")) in
  let is_named (label : Lvm_label.t) = List.mem label.uuid named in
  if List.length (List.sort_uniq compare named) <> List.length named
     || not (List.for_all is_named labels) then
    Unknown.because (f_"a physical volume that its volume group lacks")

let rec groups = function
  | [] -> []
  | claim :: _ as claims ->
     let same, others = List.partition (same_name claim) claims in
     same :: groups others

(* A copy of a disk has the same UUIDs: LVM takes one of them. *)
let check_twins (labels : Lvm_label.t list) =
  let rec twins = function
    | [] -> []
    | (label : Lvm_label.t) :: rest ->
       let is_twin (other : Lvm_label.t) = other.uuid = label.uuid in
       if List.exists is_twin rest then
         (label.block.name, s_"there are two physical volumes with its UUID")
         :: twins rest
       else twins rest in
  twins labels

let volumes labels =
  let claims, unreadable = read_claims labels in
  let of_group claims =
    check_agree claims;
    logical_volumes labels (List.hd claims).group in
  let found, doubtful =
    try_each of_group (groups claims) ~where:(fun claims ->
      fst (List.hd claims).group) in
  let by_name (a : Block.t) (b : Block.t) = compare a.name b.name in
  { volumes = List.sort by_name (List.concat_map fst found);
    unknown =
      check_twins labels @ unreadable @ doubtful
      @ List.concat_map snd found }
