(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** How recovered keys are written for other programs. *)

(** A device and its key, if it was recovered. *)
type entry = {
  device : string;
  kind : Types.kind;
  uuid : string;                (** as the header has it: any text *)
  keyslot : int option;         (** [None]: not known *)
  key : Clevis.Key.t option;
}

(** What is written. *)
type shape =
  | One_file of (Unix.file_descr -> entry list -> unit)
      (** Raises {!Failure.Error} before anything is written. *)
  | Folder                      (** of one file for each different key *)
  | Arguments                   (** a file of arguments that name the files of
                                    a folder beside it *)

(** A way to write keys. *)
type t = {
  name : string;
  summary : string;             (** for [--help] *)
  carries : char -> bool;       (** can a key contain this byte? *)
  shape : shape;
}

val lines : t

val write_lines : instead:string -> Unix.file_descr -> entry list -> unit
(** In the format [lines].  Raises {!Failure.Error} before anything is written;
    [instead] is what a hint then names that needs no key of every device. *)

val check_carried : t -> entry -> unit
(** Can the key of an entry, if it has one, be written so?  Raises
    {!Failure.Error}. *)

val check_uuid : entry -> unit
(** Can [--key UUID:file:FILE] name this device?  Raises {!Failure.Error}. *)

val all : t list
(** The first is the default. *)

val numbered :
  entry list -> (entry * int) list * (Clevis.Key.t * int) list
(** The entries that have a key, in order, each with the number of its key, and
    the keys: devices that share a key share its number. *)

val entries : Types.findings -> entry list
(** In the order of the findings, headers that were refused last. *)
