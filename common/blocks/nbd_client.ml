(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * libnbd, with deadlines.
 *)

open Gettext

type t = {
  handle : NBD.t;
  seconds : float;
  size : int64;
  smallest : int;               (* what can be read, and where *)
  most : int;                   (* of one request *)
}

exception Failed of string

type server =
  | Connected of Unix.file_descr
  | Address of Node.nbd_address

let failed fmt = Printf.ksprintf (fun reason -> raise (Failed reason)) fmt

let largest = Int64.shift_left 1L 60

(* Of one request: less than any server must be able to give. *)
let most = 1024 * 1024

(* The protocol allows no smaller block to be larger than that. *)
let largest_block = 64 * 1024

(* How long a signal waits until it is seen. *)
let tick = 0.2

let milliseconds seconds = int_of_float (ceil (seconds *. 1000.))

let longest_reason = 512

(* A signal ends servers, too. *)
let say_error f =
  try f ()
  with NBD.Error (message, _) | NBD.Closed message ->
    Signals.check ();
    let length = min longest_reason (String.length message) in
    failed "%s" (Escape.text (String.sub message 0 length))

(* Let the server answer until something has come true. *)
let wait handle ~seconds condition =
  let deadline = Unix.gettimeofday () +. seconds in
  let rec loop () =
    if not (condition ()) then (
      Signals.check ();
      let left = deadline -. Unix.gettimeofday () in
      if left <= 0. then (
        (* What comes too late is the answer to nothing. *)
        NBD.close handle;
        failed (f_"no answer in %g s") seconds
      );
      if NBD.aio_is_dead handle || NBD.aio_is_closed handle then
        failed "%s" (s_"the connection was closed");
      ignore (NBD.poll handle (milliseconds (min tick left)) : int);
      loop ()
    ) in
  say_error loop

let start_to_connect handle = function
  | Connected fd -> NBD.aio_connect_socket handle fd
  | Address (Socket path) -> NBD.aio_connect_unix handle path
  | Address (Host { host; port }) -> NBD.aio_connect_tcp handle host port

(* A server that does not say it has no such limits: 0. *)
let block_size handle kind ~default =
  match NBD.get_block_size handle kind with
  | 0L -> default
  | n -> Int64.to_int (max 1L (min n (Int64.of_int most)))

let check_size size =
  if size < 0L || size > largest then
    failed (f_"a size of %Ld bytes is not that of a disk") size

let smallest_block handle =
  let smallest = block_size handle NBD.SIZE.MINIMUM ~default:1 in
  if smallest > largest_block || smallest land (smallest - 1) <> 0 then
    failed (f_"it can only be read in blocks of %d bytes") smallest;
  smallest

let look_at handle ~seconds =
  let size = NBD.get_size handle in
  check_size size;
  let smallest = smallest_block handle in
  let most = block_size handle NBD.SIZE.MAXIMUM ~default:most in
  { handle; seconds; size; smallest;
    most = max smallest (most / smallest * smallest) }

(* Without structured replies, an answer is a number and the bytes. *)
let connect ~seconds ?(export = "") server =
  let handle = NBD.create () in
  try
    say_error (fun () ->
      NBD.set_request_structured_replies handle false;
      NBD.set_export_name handle export;
      start_to_connect handle server;
      wait handle ~seconds (fun () -> NBD.aio_is_ready handle);
      look_at handle ~seconds)
  with e ->
    NBD.close handle;
    raise e

let size { size; _ } = size

(* At most [most] bytes at a multiple of the smallest block. *)
let request { handle; seconds; _ } ~offset ~length =
  let buffer = NBD.Buffer.alloc length in
  let cookie = NBD.aio_pread handle buffer offset in
  wait handle ~seconds (fun () -> NBD.aio_command_completed handle cookie);
  Bytes.unsafe_to_string (NBD.Buffer.to_bytes buffer)

let add_requests t buffer ~from ~until =
  let rec loop offset =
    if offset < until then (
      let length =
        Int64.to_int (min (Int64.sub until offset) (Int64.of_int t.most)) in
      Buffer.add_string buffer (request t ~offset ~length);
      loop (Int64.add offset (Int64.of_int length))
    ) in
  loop from

let read_blocks t ~from ~until =
  let length = Int64.to_int (Int64.sub until from) in
  if length <= t.most then request t ~offset:from ~length
  else (
    let buffer = Buffer.create length in
    add_requests t buffer ~from ~until;
    Buffer.contents buffer
  )

(* The smallest multiple of [block] that is not smaller. *)
let round_up n ~block =
  Int64.mul block (Int64.div (Int64.add n (Int64.pred block)) block)

(* The blocks in which these bytes are. *)
let read t ~offset ~length =
  if length = 0 then ""
  else
    let block = Int64.of_int t.smallest in
    let before = Int64.rem offset block in
    let from = Int64.sub offset before in
    let until = round_up ~block (Int64.add offset (Int64.of_int length)) in
    let bytes =
      say_error (fun () -> read_blocks t ~from ~until:(min until t.size)) in
    if String.length bytes = length then bytes
    else String.sub bytes (Int64.to_int before) length

let is_alive { handle; _ } =
  try not (NBD.aio_is_dead handle || NBD.aio_is_closed handle)
  with NBD.Closed _ -> false

let close { handle; _ } = NBD.close handle
