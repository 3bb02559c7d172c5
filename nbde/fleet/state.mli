(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The state folder: what has become of each guest, so that a run can go on where
    another one ended, however that ended.

    Files are there whole, and on disk, or not at all.  What could not be written
    raises {!Failure.Error}, which says so. *)

type t

type use =
  | Alone                       (** nobody else may work in it *)
  | Shared                      (** with others that each do one guest *)

val open_folder : use -> string -> t
(** Made if it is not there.  Raises {!Failure.Error} if it is something else, or
    in use. *)

val lock_guest : t -> string -> unit
(** Until this process ends.  Raises {!Failure.Error} if somebody else works on
    this guest. *)

val with_marks : t -> string -> (unit -> 'a) -> 'a
(** Call a function that starts a child for this guest: what it starts is known by
    its environment. *)

val end_leftovers : ?guest:string -> t -> unit
(** End what a run that was killed has left behind on this host, of all guests or
    of one.  The kernel has ended its children, but not what these have started: the
    command of [run] would do its work beside the next one. *)

val keys_folder : t -> string
val servers_folder : t -> string

val forget_down : t -> unit
(** Let the next child try servers again that could not be reached. *)

val record : t -> string -> Guest.action -> string option
(** The text of the record of a guest. *)

val save : t -> Record.t -> log:string -> unit
(** Write what a child has said, then the record, then the line in the journal:
    [end], or [give-up] if no child was started. *)

val begun : t -> Guest.t -> Guest.action -> tries:int -> unit
(** For the journal: a child is going to be started. *)

val note : t -> event:string -> (string * Json.t) list -> unit
(** For the journal. *)

val repair : ?guest:string -> t -> Guest.action -> (string, int) Hashtbl.t
(** Complete the journal for guests whose end nothing is said of, since the run
    was killed then; or for this one only.  How often each was tried. *)

val log_text : t -> string -> Guest.action -> string
(** What the child of a guest has said. *)

val note_place_of_keys : t -> string -> string -> unit
(** The keys of a guest are going to be written to this file or folder, where nothing
    is yet. *)

val is_place_of_keys : t -> string -> string -> bool

val run_ended : t -> Guest.action -> bool
(** Has the last run of this action come to its end? *)

val prepare_keys : use -> string -> unit
(** Make the folder for keys, if it is not there.  Raises {!Failure.Error} if others
    may write to it.  What a run that was killed has left is removed. *)

val close : t -> unit
