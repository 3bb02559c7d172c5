(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The block devices of a guest, read on this host.
 *)

open Gettext

(* A LUKS device whose volume key is in the vault. *)
type opened = {
  block : Block.t;
  luks : Clevis.Luks.t;
  extent : Clevis.Luks.data_extent;
}

type t = {
  readings : Drives.reading array;
  mutable seconds : float;      (* that reading has taken *)
  mutable layout : Layout.t option;
  mutable opened : (string * opened) list;
}

let unsure = Drives.unsure

(* Bytes. *)

(* Some hundred KiB are read of most disks; a slow server, or a hostile one, is
 * left to the appliance, where it costs what it costs.
 *)
let most_seconds = 60.

let read_disk t i ~offset ~length =
  Signals.check ();
  if t.seconds > most_seconds then
    unsure (f_"reading took more than %.0f s") most_seconds;
  let read () =
    Reader.read t.readings.(i).Drives.reader ~offset:(Int64.of_int offset)
      ~length in
  match Timing.clock read with
  | bytes, seconds ->
     t.seconds <- t.seconds +. seconds;
     bytes
  | exception Failure.Error { message; _ } -> unsure "%s" message

let decrypt { luks; _ } ~offset data =
  try Clevis.Luks.decrypt luks ~offset:(Int64.of_int offset) data
  with Clevis.Error { line; _ } -> unsure "%s" line

(* What is decrypted at once; a multiple of all sizes of sectors. *)
let piece = 512 * 1024

let rec read t source ~offset ~length =
  match source with
  | Block.Disk i -> read_disk t i ~offset ~length
  | Opened name -> read_opened t (List.assoc name t.opened) ~offset ~length

and read_block t block ~offset ~length =
  let part { Block.source; offset; length } = read t source ~offset ~length in
  match Block.part block ~offset ~length with
  | extents -> String.concat "" (List.map part extents)
  | exception Unknown.Unknown reason -> unsure "%s: %s" block.name reason

(* In whole sectors. *)
and read_opened t opened ~offset ~length =
  let { Clevis.Luks.start; length = size; sector } = opened.extent in
  let first = offset - offset mod sector in
  let behind = offset + length + sector - 1 in
  let last = min (behind - behind mod sector) (Int64.to_int size) in
  let rec pieces at =
    if at >= last then []
    else
      let length = min piece (last - at) in
      let data =
        read_block t opened.block ~offset:(Int64.to_int start + at) ~length in
      let plain = decrypt opened ~offset:at data in
      plain :: pieces (at + length) in
  String.sub (String.concat "" (pieces first)) (offset - first) length

let run t step =
  try
    Step.run step ~read:(fun source offset length ->
      read t source ~offset ~length)
  with Failure.Error { message; _ } -> unsure "%s" message

(* Devices. *)

let disks t =
  let disk { Drives.reader; sector_size } =
    { Layout.size = Reader.size reader; sector_size } in
  Array.to_list (Array.map disk t.readings)

let opened_devices t =
  let device (name, { extent; _ }) =
    { Layout.name; size = extent.Clevis.Luks.length } in
  List.map device t.opened

let layout t =
  match t.layout with
  | Some layout -> layout
  | None -> run t (Layout.scan (disks t))

let devices t =
  let layout = layout t in
  let layout =
    if t.opened = [] then layout
    else run t (Layout.with_opened layout (opened_devices t)) in
  t.layout <- Some layout;
  match Layout.unknown layout with
  | [] -> Layout.devices layout
  | { where; reason } :: _ -> unsure "%s: %s" where reason

(* By name: a disk may have thousands, each of which is read several times. *)
let blocks t =
  let table = Hashtbl.create 16 in
  List.iter (fun { Layout.block; _ } ->
    Hashtbl.replace table block.Block.name block) (Layout.devices (layout t));
  fun name ->
    match Hashtbl.find_opt table name with
    | Some block -> block
    | None -> unsure (f_"%s: is not known here") name

let read_device t (block : Block.t) ~offset ~length =
  if offset < 0L || offset >= Int64.of_int block.size then ""
  else
    let offset = Int64.to_int offset in
    read_block t block ~offset ~length:(min length (block.size - offset))

(* As much as tells what most devices are.  Further bytes cost next to
 * nothing, so none are read ahead.
 *)
let first = 16 * 1024

let reads t =
  let block = blocks t in
  { Headers.size = (fun name -> Int64.of_int (block name).Block.size);
    read = (fun name ~offset ~length ->
      read_device t (block name) ~offset ~length);
    first;
    little = first;
    ahead = 0;
    describe = (fun name ->
      unsure (f_"%s: of its LUKS header, only the secondary one is there")
        name) }

(* cryptsetup opens a device by no keyslot of another priority, unless it is told
 * to, and may not know that one at all.
 *)
let check_priority (device : Types.device) keyslot =
  let is_sure (k : Clevis.Luks.keyslot) =
    k.slot <> keyslot || List.mem k.priority ["normal"; "prefer"] in
  if not (List.for_all is_sure device.info.keyslots) then
    unsure (f_"%s: the priority of keyslot %d") device.name keyslot

let unlock t (device : Types.device) ~mapname ~key ~keyslot =
  check_priority device keyslot;
  try
    let extent = Clevis.Luks.data_extent device.luks in
    Clevis.Luks.unlock device.luks ~key ~keyslot;
    let opened = { block = blocks t device.name; luks = device.luks; extent } in
    t.opened <- ("/dev/mapper/" ^ mapname, opened) :: t.opened
  with Clevis.Error { line; _ } -> unsure "%s" line

let make drives =
  { readings = Array.of_list (Drives.open_here drives);
    seconds = 0.;
    layout = None;
    opened = [] }

let close { readings; _ } = Drives.close (Array.to_list readings)
