(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Disk images as qemu is told of them: block nodes in JSON, in which every file
    and every format is named, so that qemu looks for none.

    Source: qemu(1), [-blockdev]; "json:" file names in qemu-block-drivers(7). *)

(** Where the bytes of an image are. *)
type place =
  | Local of { file : string; block_device : bool }
  | Server of Json.t            (** the node of a network protocol *)

val local : Chain.element -> place

val overlay_file : string -> Json.t
(** An overlay of our own, which is qcow2 and has no lock. *)

val image : ?backing:Json.t -> Image_format.t -> place -> Json.t
(** An image of this format.  Without [backing] it has none, whatever its header
    says.  It is read though a running guest has locked it. *)

val text : Json.t -> string
(** The node as a file name of qemu. *)

val longest : int
(** Bytes of a {!text} that fit into the header of a qcow2 file. *)

(** Images on servers: the node of the protocol, and the same as a URI, as qemu and
    libvirt have it.  [server] is ["HOST"], ["HOST:PORT"] or, for NBD, ["unix:PATH"];
    HOST may be an IPv6 address in brackets.  [user] may have a password with http
    and https. *)

type nbd_address =
  | Socket of string            (** a path *)
  | Host of { host : string; port : string }

val nbd_address : string -> nbd_address
(** What [server] means. *)

val nbd : server:string -> export:string -> Json.t * string

val ssh :
  server:string -> user:(string * string option) option -> path:string
  -> Json.t * string

val http :
  scheme:string -> server:string -> user:(string * string option) option
  -> path:string -> Json.t * string
