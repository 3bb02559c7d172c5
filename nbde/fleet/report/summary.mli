(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** All that a report says, whatever its format. *)

type t = {
  state : string;               (** the state folder *)
  made : float;                 (** when the report was made *)
  guests : (Records.guest * Standing.t) list;
  servers : Servers.t list;
  to_bind : string list;        (** guests to be bound anew *)
}

val make : state:string -> made:float -> Records.guest list -> t

val count : t -> Standing.t -> int
val opening : t -> int
(** How many guests open. *)

val counts : t -> (Standing.t * int) list
(** Of all outcomes that there are, in their order. *)

val guests_of : t -> Standing.t -> Records.guest list

val times : t -> (float * float) option
(** Of the oldest and the newest record that decides. *)

(** {2 What there is to do} *)

type task =
  | Revive of Servers.t         (** a server that did not answer *)
  | Unsigned of Servers.t       (** an advertisement with bad signatures *)
  | Look of Standing.t * int     (** at guests that do not open *)
  | Bind of int                 (** guests anew *)
  | Ask of int                  (** about guests that were listed only *)
  | Second of Servers.t         (** server, for guests that hang on one alone *)

val tasks : t -> task list
(** What helps most guests first. *)

val task_text : task -> string

(** {2 How much is shown} *)

val most_servers : int
(** More of them are not shown to people, nor to Prometheus: hostile disks can
    name any number. *)

val shown_servers : t -> Servers.t list
