(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A disk image and its backing files: what is read, decided before anything
    opens it.

    An image is looked at here, its header is parsed in OCaml, and what it names
    is followed one file at a time.  What comes out is complete: whoever opens
    the files is told all of them and their formats, and need not, and must not,
    look for more. *)

type element = {
  file : string;                (** absolute *)
  format : Image_format.t;
  block_device : bool;
}

type t = {
  top : element;
  backing : element list;       (** those below, from the top on *)
  found_out : bool;             (** nobody named the format of the top *)
}

val walk : ?format:Image_format.t -> string -> t
(** [walk ~format file].  Without [format] it is found out from the first bytes,
    which a guest that writes to a raw disk can choose: the user who names the
    format is safe from that.

    A backing file must be a regular file or a block device of this host, and its
    format must be written in the header above it.  Raises {!Failure.Error} with
    the name of what was wanted, and why it is refused. *)

val check_alone : string -> Image_format.t -> Container.read -> unit
(** [check_alone name format read]: the same for an image that can only be read,
    such as one on a server: it must name no other file.  Raises
    {!Failure.Error}. *)

val detect : string -> Image_format.t
(** What the first bytes of a file claim.  Raises [Unix.Unix_error]. *)

val with_file : string -> (Container.read -> 'a) -> 'a
(** Read from a file of this host.  Raises [Unix.Unix_error]. *)

val open_file : string -> Unix.file_descr
(** A file of this host, to be read.  Raises [Unix.Unix_error]. *)

val read_at : Unix.file_descr -> Container.read
(** The same on a descriptor. *)

val longest : int
(** How many files a chain may have. *)
