(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The journal of a state folder: who did what, when and with which servers.  It
    is only appended, a line of JSON for each event, which is on disk when a
    function returns.  There is never a key in it. *)

type t

val open_file : string -> t
(** Raises [Unix.Unix_error], as the other functions do. *)

val append : t -> event:string -> (string * Json.t) list -> unit
(** Time, user, host and process are added.  A line that the end of another
    process has left half is removed first. *)

(** What it says of a guest and an action. *)
type last = {
  tries : int;                  (** the greatest one *)
  is_open : bool;               (** it was begun, and nothing says that it ended *)
}

val read : t -> action:string -> (string, last) Hashtbl.t
(** By the name of the guest. *)

val run_ended : t -> action:string -> bool
(** Did the last run of this action come to its end? *)

val close : t -> unit
