(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The console of the appliance, which is also where qemu complains.
 *)

type t = Buffer.t

(* The kernel of the appliance says much more; the end is what counts. *)
let longest = 64 * 1024

let keep_end buffer =
  let length = Buffer.length buffer in
  if length > 2 * longest then (
    let kept = Buffer.sub buffer (length - longest) longest in
    Buffer.clear buffer;
    Buffer.add_string buffer kept
  )

(* libguestfs shows it with -v, but not where somebody listens. *)
let listening (g : Guestfs.guestfs) f =
  let buffer = Buffer.create 4096 in
  let add _event _handle text _numbers =
    Messages.console text;
    Buffer.add_string buffer text;
    keep_end buffer in
  let callback = g#set_event_callback add [Guestfs.EVENT_APPLIANCE] in
  Fun.protect ~finally:(fun () -> g#delete_event_callback callback) (fun () ->
    f buffer)

let starts_with_qemu line = String.starts_with ~prefix:"qemu" line

let line_of text =
  let lines =
    List.filter ((<>) "")
      (List.map String.trim
         (List.concat_map (String.split_on_char '\r')
            (String.split_on_char '\n' text))) in
  match List.rev (List.filter starts_with_qemu lines), List.rev lines with
  | line :: _, _ | [], line :: _ -> Some line
  | [], [] -> None

let last_line t = line_of (Buffer.contents t)
