(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Overlays of our own over disk images.

    The disk images are only read, by qemu-img in a sandbox that reaches nothing
    but them.  What libguestfs is given afterwards is an overlay: its format is
    known, and it names all that lies below. *)

(** Who opens the overlay? *)
type reader =
  | Qemu                        (** is told all files and formats by the overlay *)
  | Libvirt                     (** knows no formats in JSON: it is told the file
                                    and the format below the overlay, and finds the
                                    rest by the same headers *)

(** Where overlays are made: in [folder], under names that begin with [name]. *)
type place = {
  folder : string;
  name : string;
  reader : reader;
}

val over_chain : place -> Chain.t -> string
(** Make overlays; the result is the one to be used.  Raises {!Failure.Error}. *)

(** An image on a server. *)
type remote = {
  node : Json.t;                (** see {!Node} *)
  uri : string;                 (** the same, see {!Node} *)
  network : Sandbox.network;    (** what it takes to reach it *)
  title : string;               (** for messages *)
  format : Image_format.t option;
}

val format_of_remote : place -> remote -> Image_format.t
(** Its format.  One that was given may name no other file; one that is found out
    may only be [Raw].  Raises {!Failure.Error}. *)

val over_remote : place -> remote -> format:Image_format.t -> string
(** As {!over_chain}, once the format is known. *)
