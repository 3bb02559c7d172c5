(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A computation that asks for bytes.
 *)

open Gettext

type 'a t =
  | Done of 'a
  | Read of {
      source : Block.source;
      offset : int;
      length : int;
      next : string -> 'a t;
    }

let longest = 1024 * 1024

let return x = Done x

let rec bind step f =
  match step with
  | Done x -> f x
  | Read read -> Read { read with next = fun s -> bind (read.next s) f }

let ( let* ) = bind

(* However long the list is, a read of it passes one bind. *)
let map_list f items =
  let rec loop found = function
    | [] -> return (List.rev found)
    | x :: rest ->
       let* y = f x in
       loop (y :: found) rest in
  loop [] items

let most = 4 * longest

let source_name = function
  | Block.Disk n -> Block.disk_name n
  | Opened name -> name

let read_extent { Block.source; offset; length } =
  let next bytes =
    if String.length bytes <> length then
      Failure.error (f_"%s: cannot be read at %d") (source_name source) offset;
    return bytes in
  Read { source; offset; length; next }

(* No longer than one may be. *)
let rec pieces (extent : Block.extent) =
  if extent.length <= longest then [extent]
  else
    { extent with length = longest }
    :: pieces { extent with offset = extent.offset + longest;
                            length = extent.length - longest }

let read (block : Block.t) offset length =
  if offset < 0 || length < 0 || length > most then
    invalid_arg "Step.read";
  let inside = max 0 (min length (block.size - offset)) in
  let extents =
    if inside = 0 then []
    else Block.part block ~offset ~length:inside in
  let* found = map_list read_extent (List.concat_map pieces extents) in
  return (String.concat "" (found @ [String.make (length - inside) '\000']))

let rec recover f otherwise =
  match f () with
  | Done _ as step -> step
  | Read read ->
     Read { read with
            next = fun s -> recover (fun () -> read.next s) otherwise }
  | exception Unknown.Unknown reason -> Done (otherwise reason)

let rec run ~read = function
  | Done x -> x
  | Read { source; offset; length; next } ->
     run ~read (next (read source offset length))
