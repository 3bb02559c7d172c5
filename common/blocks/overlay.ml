(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Overlays, made by qemu-img.
 *)

open Printf

open Gettext

type reader =
  | Qemu
  | Libvirt

type place = {
  folder : string;
  name : string;
  reader : reader;
}

type remote = {
  node : Json.t;
  uri : string;
  title : string;
  format : Image_format.t option;
}

(* Most is a server that does not answer. *)
let seconds = 60.

let last_line text =
  let lines = List.map String.trim (String.split_on_char '\n' text) in
  match List.rev (List.filter ((<>) "") lines) with
  | line :: _ -> line
  | [] -> s_"it said nothing"

(* What stands behind a node of ours, if it names one. *)
let reason errors =
  let line = last_line errors in
  let rec search i =
    if i + 3 > String.length line then line
    else if String.sub line i 3 = "}':" then
      String.trim (String.sub line (i + 3) (String.length line - i - 3))
    else search (i + 1) in
  search 0

let hint reason =
  if String.starts_with ~prefix:"Unknown driver" reason then
    Some (s_"qemu has a package of its own for this protocol: in Debian \
             qemu-block-extra, in Fedora qemu-block-curl or qemu-block-ssh.")
  else None

let qemu_img ~title ~read ~folder ~network arguments =
  let rules =
    { Sandbox.read; write = [folder]; network; processes = false; seconds } in
  let outcome =
    try Sandbox.run rules "qemu-img" arguments
    with Unix.Unix_error (code, _, _) ->
      Failure.error "qemu-img: %s" (Unix.error_message code) in
  if not outcome.in_time then
    Failure.error (f_"%s: qemu-img has not ended after %.0f s") title seconds;
  if not (Sandbox.succeeded outcome) then
    let reason = reason outcome.errors in
    Failure.error ?hint:(hint reason) (f_"%s: cannot be read: %s") title reason

(* What lies below an overlay. *)
type below = {
  title : string;               (* for messages *)
  format : Image_format.t;
  node : Json.t;
  plain : string;               (* file name or URI *)
}

(* The size is found by the node, also where the plain name will be read: that
 * of a disk that a running guest has locked could not be opened.
 *)
let create { folder; reader; _ } ~read ~network below overlay =
  let qemu_img = qemu_img ~title:below.title ~read ~folder ~network in
  let format = ["-F"; Image_format.name below.format] in
  qemu_img (["create"; "-q"; "-f"; "qcow2"; "-b"; Node.text below.node]
            @ format @ [overlay]);
  if reader = Libvirt then
    qemu_img (["rebase"; "-q"; "-u"; "-f"; "qcow2"; "-b"; below.plain]
              @ format @ [overlay])

(* A name that JSON does not have, or that is too long for a header, gets a link
 * that is neither.
 *)
let is_utf8 text = Escape.utf8 text = text

let longest_path = 400

let nameable ~link (element : Chain.element) =
  let { Chain.file; _ } = element in
  if String.length file <= longest_path && is_utf8 file then element
  else (
    Unix.symlink file link;
    { element with file = link }
  )

(* From the bottom up, an overlay over each, since the header of one has no room
 * for the nodes of all.
 *)
let over_chain place { Chain.top; backing; _ } =
  let elements = top :: backing in
  let read =
    place.folder :: List.map (fun { Chain.file; _ } -> file) elements in
  let cover (overlay_below, number) element =
    let path suffix =
      Filename.concat place.folder
        (sprintf "%s.%d%s" place.name number suffix) in
    let overlay = path ".qcow2" in
    let { Chain.file = title; format; _ } = element in
    let element = nameable ~link:(path ".link") element in
    let backing = Option.map Node.overlay_file overlay_below in
    let node = Node.image ?backing format (Node.local element) in
    create place ~read ~network:false
      { title; format; node; plain = element.file } overlay;
    Some overlay, number + 1 in
  match List.fold_left cover (None, 0) (List.rev elements) with
  | Some overlay, _ -> overlay
  | None, _ -> assert false

(* The first bytes of an image on a server, in a file. *)
let fetch ~folder ~title node file =
  qemu_img ~title ~read:[] ~folder ~network:true
    ["dd"; "-f"; "raw"; "-O"; "raw"; "bs=64k"; "count=4";
     "if=" ^ Node.text (Node.image Raw (Server node)); "of=" ^ file]

let format_of_remote { folder; name; _ } (remote : remote) =
  let { node; title; format; _ } : remote = remote in
  match format with
  | Some Raw -> Image_format.Raw
  | Some _ | None ->
     let file = Filename.concat folder (name ^ ".head") in
     fetch ~folder ~title node file;
     Chain.with_file file (fun read ->
       let format =
         match format with
         | Some format -> format
         | None -> Image_format.detect (read 0L Image_format.head) in
       Chain.check_alone title format read;
       format)

let over_remote place (remote : remote) =
  let { node; uri; title; _ } : remote = remote in
  let format = format_of_remote place remote in
  let overlay = Filename.concat place.folder (place.name ^ ".qcow2") in
  create place ~read:[] ~network:true
    { title; format; node = Node.image format (Server node); plain = uri }
    overlay;
  overlay
