(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [--output-keys]: write the recovered keys for another program. *)

type target = {
  file : string;                (** ["-"] for standard output *)
  format : Key_format.t;
  force : bool;                 (** replace a file that exists *)
}

val check_target : target -> unit
(** Could it be written?  To be asked before time is spent on a launch.
    Raises {!Failure.Error}. *)

val write : target -> Key_format.entry list -> unit
(** Write all or nothing: the file appears complete, readable only by its owner,
    and on disk, or not at all.  Raises {!Failure.Error}. *)
