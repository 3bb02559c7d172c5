(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The beginning and the end of a text of any length.
 *)

open Printf

open Gettext

type t = {
  half : int;
  head : Buffer.t;              (* at most half *)
  tail : Buffer.t;              (* less than two halves; the last one counts *)
  mutable dropped : int;
}

let make limit =
  { half = limit / 2; head = Buffer.create 256; tail = Buffer.create 256;
    dropped = 0 }

let shorten t =
  let excess = Buffer.length t.tail - t.half in
  if excess > 0 then (
    let last = Buffer.sub t.tail excess t.half in
    Buffer.clear t.tail;
    Buffer.add_string t.tail last;
    t.dropped <- t.dropped + excess
  )

let rec add_to_tail t bytes offset length =
  if length > 0 then (
    let n = min t.half length in
    Buffer.add_subbytes t.tail bytes offset n;
    if Buffer.length t.tail >= 2 * t.half then shorten t;
    add_to_tail t bytes (offset + n) (length - n)
  )

let add t bytes offset length =
  let room = t.half - Buffer.length t.head in
  let n = min room length in
  Buffer.add_subbytes t.head bytes offset n;
  add_to_tail t bytes (offset + n) (length - n)

let contents t =
  shorten t;
  let missing =
    if t.dropped = 0 then ""
    else sprintf (f_"\n... %d bytes are left out here ...\n") t.dropped in
  Buffer.contents t.head ^ missing ^ Buffer.contents t.tail
