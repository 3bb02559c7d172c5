(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Overlays of our own over disk images.

    The disk images are only read, by qemu-img in a sandbox that reaches nothing
    but them.  What libguestfs is given afterwards is an overlay: its format is
    known, and it names all that lies below. *)

val over_chain : folder:string -> name:string -> Chain.t -> string
(** Make overlays in this folder, whose names begin with [name]; the result is the
    one to be used.  Raises {!Failure.Error}. *)

(** An image on a server. *)
type remote = {
  node : Json.t;                (** see {!Node} *)
  title : string;               (** for messages *)
  format : Image_format.t option;
}

val over_remote : folder:string -> name:string -> remote -> string
(** The same.  Without [format], it is found out.  The image may name no other
    file. *)

val format_of_remote : folder:string -> name:string -> remote -> Image_format.t
(** Its format, given or found out, after the same check. *)
