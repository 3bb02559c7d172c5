(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * For tests: layouts of disks in memory and in files.
 *)

open Printf

type disk = { bytes : Bytes.t; sector_size : int }

let disk ?(sector_size = 512) size =
  { bytes = Bytes.make size '\000'; sector_size }

let of_file ?(sector_size = 512) name =
  let channel = open_in_bin name in
  let length = in_channel_length channel in
  let bytes = Bytes.create length in
  really_input channel bytes 0 length;
  close_in channel;
  { bytes; sector_size }

let to_file name { bytes; _ } =
  let channel = open_out_bin name in
  output_bytes channel bytes;
  close_out channel

let put { bytes; _ } at text =
  Bytes.blit_string text 0 bytes at (String.length text)

let put16 { bytes; _ } at n = Bytes.set_uint16_le bytes at (n land 0xffff)
let put32 { bytes; _ } at n = Bytes.set_int32_le bytes at (Int32.of_int n)
let put64 { bytes; _ } at n = Bytes.set_int64_le bytes at (Int64.of_int n)

(* A scan of many disks with many partitions has fewer. *)
let most_reads = 20_000

let step disks step =
  let disks = Array.of_list disks in
  let reads = ref 0 in
  let read source offset length =
    incr reads;
    if !reads > most_reads then failwith "too many reads";
    match source with
    | Block.Opened name -> failwith ("a read from " ^ name)
    | Disk i ->
       let { bytes; _ } = disks.(i) in
       if length < 1 || length > Step.longest || offset < 0
          || offset > Bytes.length bytes - length then
         failwith (sprintf "a read of %d bytes at %d" length offset);
       Bytes.sub_string bytes offset length in
  Step.run ~read step

let longer = ref 0

let scan disks =
  let layout_disk { bytes; sector_size } =
    { Layout.size = Int64.of_int (Bytes.length bytes + !longer);
      sector_size } in
  step disks (Layout.scan (List.map layout_disk disks))

let kind = function
  | Layout.Whole_disk -> "disk"
  | Partition -> "partition"
  | Md_array -> "array"
  | Logical_volume -> "volume"
  | Mapped -> "mapped"

let contents = function
  | Layout.Luks -> "luks"
  | Physical_volume -> "pv"
  | Md_member -> "member"
  | Missing -> "missing"
  | Other -> "other"

let source = function
  | Block.Disk i -> Filename.basename (Block.disk_name i)
  | Opened name -> Filename.basename name

let extent { Block.source = from; offset; length } =
  sprintf " %s:%d+%d" (source from) offset length

let show layout =
  List.map (fun (device : Layout.device) ->
    sprintf "%s %s %d %s%s" device.block.name (kind device.kind)
      device.block.size (contents device.contents)
      (String.concat "" (List.map extent device.block.extents)))
    (Layout.devices layout)
  @ List.map (fun (unknown : Layout.unknown) ->
      sprintf "? %s: %s" unknown.where unknown.reason)
      (Layout.unknown layout)

let check name expected layout =
  Testing.equal name (String.concat "\n  ") expected (show layout)

let is_unknown name word disks =
  let layout = scan disks in
  let lines =
    List.map (fun (unknown : Layout.unknown) ->
      unknown.where ^ ": " ^ unknown.reason) (Layout.unknown layout) in
  if List.exists (fun line -> Testing.contains line word) lines then
    Testing.is_true name true
  else Testing.text name word (String.concat "; " (show layout))

(* Where the tools of disks are, also for those who are not root. *)
let () = Unix.putenv "PATH" (Sys.getenv "PATH" ^ ":/usr/sbin:/sbin")

let output program arguments =
  let command = Filename.quote_command program ~stderr:"/dev/null" arguments in
  let channel = Unix.open_process_in command in
  let text = Buffer.create 4096 in
  let rec loop () =
    match input_line channel with
    | line -> Buffer.add_string text (line ^ "\n"); loop ()
    | exception End_of_file -> () in
  loop ();
  if Unix.close_process_in channel <> Unix.WEXITED 0 then failwith command;
  Buffer.contents text

(* Mutants *)

type mutants = {
  disks : disk list;
  places : (int * int * int) list;
  change : Random.State.t -> unit;
  repair : unit -> unit;
}

let interesting =
  [| 0; 1; 2; 7; 63; 127; 128; 255; 256; 511; 512; 2047; 2048; 4095; 4096;
     0x7fff; 0xffff; 0x10000; 0x7fff_ffff; 0xffff_ffff; 0x8000_0000;
     0x1_0000_0000; 1 lsl 40; 1 lsl 52; 1 lsl 59; 1 lsl 60; max_int; min_int;
     -1 |]

let pick random array = array.(Random.State.int random (Array.length array))

let change_at random { disks; places; _ } =
  let i, offset, length = pick random (Array.of_list places) in
  let { bytes; _ } as disk = List.nth disks i in
  let at = offset + Random.State.int random (length - 8) in
  let at = if Random.State.bool random then at land lnot 3 else at in
  match Random.State.int random 6 with
  | 0 -> Bytes.set_uint8 bytes at (Random.State.int random 256)
  | 1 ->
     let bit = 1 lsl Random.State.int random 8 in
     Bytes.set_uint8 bytes at (Bytes.get_uint8 bytes at lxor bit)
  | 2 -> put16 disk at (pick random interesting)
  | 3 -> put32 disk at (pick random interesting)
  | 4 -> put64 disk at (pick random interesting)
  | _ ->
     let from = offset + Random.State.int random (length - 8) in
     Bytes.blit bytes from bytes at (1 + Random.State.int random 8)

(* Is each device on its disks, and whole? *)
let check_sound disks layout =
  let fits { Block.source; offset; length } =
    match source with
    | Block.Opened _ -> false
    | Disk i ->
       offset >= 0 && length > 0
       && offset + length <= Bytes.length (List.nth disks i).bytes in
  List.iter (fun (device : Layout.device) ->
    let { Block.extents; size; name; _ } = device.block in
    if not (size > 0 && List.for_all fits extents
            && (device.contents = Missing || Block.is_complete device.block)
            && String.starts_with ~prefix:"/dev/" name) then
      failwith (String.concat "; " (show layout)))
    (Layout.devices layout)

let most_seconds = 0.1

(* The time of the processor: others may be using it, too. *)
let one name random ({ disks; change; repair; _ } as mutants) =
  for _ = 1 to Random.State.int random 4 do change_at random mutants done;
  if Random.State.bool random then change random;
  if Random.State.int random 4 > 0 then repair ();
  let before = Sys.time () in
  match scan disks with
  | layout ->
     check_sound disks layout;
     let seconds = Sys.time () -. before in
     if seconds > most_seconds then
       Testing.text name "100 ms" (sprintf "%.0f ms" (1000. *. seconds));
     if Layout.unknown layout = [] then `Known seconds else `Unknown seconds
  | exception Failure.Error _ -> `Failure

let mutate ?(seed = 20261128) name count ({ disks; places; _ } as mutants) =
  let random = Random.State.make [| seed |] in
  let kept =
    List.map (fun (i, offset, length) ->
      i, offset, Bytes.sub (List.nth disks i).bytes offset length) places in
  let restore () =
    List.iter (fun (i, offset, bytes) ->
      Bytes.blit bytes 0 (List.nth disks i).bytes offset (Bytes.length bytes))
      kept in
  let known = ref 0 and unknown = ref 0 and failed = ref 0 in
  let slowest = ref 0. in
  for i = 1 to count do
    (match one name random mutants with
     | `Known seconds -> incr known; slowest := max !slowest seconds
     | `Unknown seconds -> incr unknown; slowest := max !slowest seconds
     | `Failure -> incr failed
     | exception error ->
        Testing.text (sprintf "%s, number %d" name i) "no exception"
          (Printexc.to_string error));
    restore ()
  done;
  (* Otherwise the mutants would not get far. *)
  Testing.is_true (name ^ ": some are known") (1000 * !known > count);
  Testing.is_true (name ^ ": some are not") (1000 * !unknown > count);
  sprintf "%s: %d known, %d unknown, %d failures; the slowest took %.1f ms"
    name !known !unknown !failed (1000. *. !slowest)
