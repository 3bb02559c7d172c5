(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** How virt-nbde-unlock is called. *)

type settings = {
  program : string;             (** its file *)
  servers : string;             (** what its runs know of servers, together *)
  passed : string list;         (** options for all guests *)
  uri : string option;          (** of libvirt *)
  keys_folder : string;
  own_keys : bool;              (** it is that of the state folder *)
  keys_format : string;
  command : string list;        (** of [run] *)
}

val find_program : unit -> string
(** Beside our own file, or in [PATH].  Raises {!Failure.Error}. *)

val check_options : settings -> string list -> unit
(** Let the program say whether it takes these options, with their values; raises
    {!Failure.Error} with its words. *)

val words : settings -> Guest.action -> replace:bool -> Guest.t -> string list
(** The arguments, its name first.  [replace]: keys may take the place of others. *)

val keys_file : settings -> Guest.t -> string
(** The file or folder that [keys] makes. *)

val asked : settings -> Guest.action -> Json.t
(** See {!Record.t}. *)

val names_disks : string -> bool
(** Has this word of COMMAND the disks of the guest in it? *)

val check : Guest.t array -> string list -> unit
(** Can COMMAND be run for all of them?  Raises {!Options.Error}. *)
