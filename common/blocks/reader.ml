(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The bytes of a disk.
 *)

open Gettext

type source =
  | File of Unix.file_descr
  | Image of { program : Qemu_nbd.t; client : Nbd_client.t }
  | Server of Nbd_client.t
  | Closed

type t = {
  title : string;               (* for messages *)
  size : int64;
  mutable source : source;
}

exception Unsafe of string

let patience = 30.

let fail title reason = Failure.error (f_"%s: cannot be read: %s") title reason

(* Raw files. *)

let size_of_file fd =
  let size = Unix.LargeFile.lseek fd 0L Unix.SEEK_END in
  if size > Nbd_client.largest then raise (Unix.Unix_error (EFBIG, "lseek", ""));
  size

let open_file { Chain.file = title; _ } =
  try
    let fd = Chain.open_file title in
    match size_of_file fd with
    | size -> { title; size; source = File fd }
    | exception e ->
       Unix.close fd;
       raise e
  with Unix.Unix_error (code, _, _) -> Failure.of_code title code

(* Other images. *)

let check_safe title =
  if not (Sandbox.file_rules ()) then
    raise (Unsafe (
      Printf.sprintf (f_"%s: this kernel has no Landlock, which keeps qemu-nbd from \
                         other files") title))

let connect_program ~seconds program connection =
  try Nbd_client.connect ~seconds (Connected connection) with
  | Nbd_client.Failed reason -> Qemu_nbd.fail program reason
  | e ->
     Qemu_nbd.stop program;
     raise e

let open_image ~seconds chain =
  let { Chain.file = title; _ } = chain.Chain.top in
  check_safe title;
  let program, connection = Qemu_nbd.start chain in
  let client = connect_program ~seconds program connection in
  { title; size = Nbd_client.size client; source = Image { program; client } }

let open_chain ?(seconds = patience) chain =
  match chain with
  | { Chain.top = { format = Raw; _ } as top; backing = []; _ } -> open_file top
  | _ -> open_image ~seconds chain

let open_nbd ?(seconds = patience) ~server ~export ~title () =
  match
    Nbd_client.connect ~seconds ~export (Address (Node.nbd_address server))
  with
  | client -> { title; size = Nbd_client.size client; source = Server client }
  | exception Nbd_client.Failed reason -> fail title reason

let size { size; _ } = size

let close t =
  let source = t.source in
  t.source <- Closed;
  match source with
  | File fd -> Unix.close fd
  | Server client -> Nbd_client.close client
  | Image { program; client } ->
     Nbd_client.close client;
     Qemu_nbd.stop program
  | Closed -> ()

(* Numbers from a disk end here, if not before. *)
let check_inside { title; size; _ } ~offset ~length =
  if offset < 0L || length < 0 || offset > size
     || Int64.of_int length > Int64.sub size offset then
    Failure.error (f_"%s: has no %d bytes at %Ld: its size is %Ld") title length
      offset size

let read_file title fd ~offset ~length =
  match Chain.read_at fd offset length with
  | bytes when String.length bytes = length -> bytes
  | _ -> fail title (s_"it has become shorter")
  | exception Unix.Unix_error (code, _, _) -> Failure.of_code title code

(* What else is in the image may still be read, unless its program has gone. *)
let fail_of_image t program client reason =
  if Nbd_client.is_alive client then fail t.title reason
  else (
    t.source <- Closed;
    Nbd_client.close client;
    Qemu_nbd.fail program reason
  )

let read t ~offset ~length =
  check_inside t ~offset ~length;
  match t.source with
  | File fd -> read_file t.title fd ~offset ~length
  | Closed -> fail t.title (s_"it is closed")
  | Image { program; client } ->
     (try Nbd_client.read client ~offset ~length
      with Nbd_client.Failed reason -> fail_of_image t program client reason)
  | Server client ->
     try Nbd_client.read client ~offset ~length
     with Nbd_client.Failed reason -> fail t.title reason

let with_chain ?seconds chain f =
  let t = open_chain ?seconds chain in
  Fun.protect ~finally:(fun () -> close t) (fun () -> f t)
