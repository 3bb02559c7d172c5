(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The guests of a fleet: from LIST, a folder or libvirt.  All of it is read and
    checked before anything is done. *)

type source =
  | List of string              (** a file, or ["-"]; or a folder of images *)
  | Domains of { uri : string option }

exception Wrong of string list
(** What is wrong, a line each: [FILE:LINE:COLUMN: REASON]. *)

val check_apart : Guest.t array -> string -> unit
(** [check_apart guests suffix]: no guest is called as another one with this
    suffix.  Raises {!Wrong}. *)

val read : format:string option -> source -> Guest.t array
(** [format] is that of disks for which LIST has none.  Raises {!Wrong} and
    {!Failure.Error}. *)

val of_text : file:string -> format:string option -> string -> Guest.t array
(** Of the text of LIST, from this file.  Raises {!Wrong}. *)
