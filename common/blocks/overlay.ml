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
  network : Sandbox.network;
  title : string;
  format : Image_format.t option;
}

(* For all overlays of a disk, and for the first bytes of one on a server.  Most
 * of it is a server that does not answer.
 *)
let seconds = 60.

let hint reason =
  if String.starts_with ~prefix:"Unknown driver" reason then
    Some (s_"qemu has a package of its own for this protocol: in Debian \
             qemu-block-extra, in Fedora qemu-block-curl or qemu-block-ssh.")
  else None

(* The time until which all must be done, and what may be used until then. *)
type means = {
  until : float;
  folder : string;
  read : string list;
  network : Sandbox.network;
}

let means ~folder ~read ~network =
  { until = Unix.gettimeofday () +. seconds; folder; read; network }

let qemu_img ~title { until; folder; read; network } arguments =
  let rules = {
    Sandbox.read;
    write = [folder];
    network;
    processes = false;
    memory = Qemu.memory ~images:(List.length read);
    seconds = max 0. (until -. Unix.gettimeofday ());
  } in
  let outcome =
    try Sandbox.run rules "qemu-img" arguments
    with Unix.Unix_error (code, _, _) ->
      Failure.error "qemu-img: %s" (Unix.error_message code) in
  if not outcome.in_time then
    Failure.error (f_"%s: qemu-img has not ended after %.0f s") title seconds;
  if not (Sandbox.succeeded outcome) then
    let reason = Qemu.reason outcome.errors in
    Failure.error ?hint:(hint reason) (f_"%s: cannot be read: %s") title reason

(* What lies below an overlay. *)
type below = {
  title : string;               (* for messages *)
  format : Image_format.t;
  node : Json.t;
  plain : string;               (* file name or URI *)
}

(* A qemu-img that an image has taken over could write anything. *)
let check_header ~title overlay ~below ~format =
  let expected =
    Container.Backing { file = below; format = Some (Image_format.name format) }
  in
  let found =
    try Some (Chain.with_file overlay (Container.named Qcow2))
    with Container.Refused _ -> None in
  if found <> Some expected then
    Failure.error (f_"%s: qemu-img has not made the overlay that it was told to \
                      make") title

(* The size is found by the node, also where the plain name will be read: that
 * of a disk that a running guest has locked could not be opened.
 *)
let create means reader { title; format; node; plain } overlay =
  let qemu_img = qemu_img ~title means in
  let name = ["-F"; Image_format.name format] in
  let node = Node.text node in
  qemu_img (["create"; "-q"; "-f"; "qcow2"; "-b"; node] @ name @ [overlay]);
  check_header ~title overlay ~below:node ~format;
  if reader = Libvirt then (
    qemu_img (["rebase"; "-q"; "-u"; "-f"; "qcow2"; "-b"; plain]
              @ name @ [overlay]);
    check_header ~title overlay ~below:plain ~format
  )

(* A name that JSON does not have, or that is too long for a header, gets a link
 * that is neither.
 *)
let is_utf8 text = Escape.utf8 text = text

let node_of ?backing (element : Chain.element) =
  Node.image ?backing element.format (Node.local element)

let nameable ?backing ~link (element : Chain.element) =
  let { Chain.file; _ } = element in
  let fits =
    is_utf8 file
    && String.length (Node.text (node_of ?backing element)) <= Node.longest in
  if fits then element
  else (
    Unix.symlink file link;
    { element with file = link }
  )

(* From the bottom up, an overlay over each, since the header of one has no room
 * for the nodes of all.
 *)
let over_chain { folder; name; reader } { Chain.top; backing; _ } =
  let elements = top :: backing in
  let read = folder :: List.map (fun { Chain.file; _ } -> file) elements in
  let means = means ~folder ~read ~network:Sandbox.No_network in
  let cover (overlay_below, number) element =
    let path suffix =
      Filename.concat folder (sprintf "%s.%d%s" name number suffix) in
    let overlay = path ".qcow2" in
    let { Chain.file = title; format; _ } = element in
    let backing = Option.map Node.overlay_file overlay_below in
    let element = nameable ?backing ~link:(path ".link") element in
    let node = node_of ?backing element in
    create means reader { title; format; node; plain = element.file } overlay;
    Some overlay, number + 1 in
  match List.fold_left cover (None, 0) (List.rev elements) with
  | Some overlay, _ -> overlay
  | None, _ -> assert false

(* The first bytes of an image on a server, in a file. *)
let fetch means ~title node file =
  qemu_img ~title means
    ["dd"; "-f"; "raw"; "-O"; "raw"; "bs=64k"; "count=4";
     "if=" ^ Node.text (Node.image Raw (Server node)); "of=" ^ file]

let means_of_remote folder ({ network; _ } : remote) =
  means ~folder ~read:[] ~network

(* A server can show one header to us and another one to qemu, which opens what
 * that names.
 *)
let found_out ~title = function
  | Image_format.Raw -> Image_format.Raw
  | format ->
     let name = Image_format.name format in
     Failure.error
       ~hint:(sprintf (f_"If you trust the server with the files of this host: \
                          --format=%s") name)
       (f_"%s: begins like a %s file, and nobody has said that it is one") title
       name

let format_of_remote { folder; name; _ } (remote : remote) =
  let { node; title; format; _ } : remote = remote in
  match format with
  | Some Raw -> Image_format.Raw
  | Some _ | None ->
     let file = Filename.concat folder (name ^ ".head") in
     fetch (means_of_remote folder remote) ~title node file;
     Chain.with_file file (fun read ->
       match format with
       | Some format ->
          Chain.check_alone title format read;
          format
       | None ->
          found_out ~title (Image_format.detect (read 0L Image_format.head)))

let over_remote { folder; name; reader } (remote : remote) ~format =
  let { node; uri; title; _ } : remote = remote in
  let overlay = Filename.concat folder (name ^ ".qcow2") in
  create (means_of_remote folder remote) reader
    { title; format; node = Node.image format (Server node); plain = uri }
    overlay;
  overlay
