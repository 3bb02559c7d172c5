(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What the records of a guest come to. *)

type t =
  | Opens
  | No_spare        (** it opens, and no server of it may fail *)
  | Not_asked       (** it was listed only *)
  | Failed
  | Unreachable
  | Command_failed
  | Error
  | Killed
  | Unbound
  | Damaged         (** there is no record that can be read *)

val all : t list
(** In the order in which they are shown: first those that open. *)

val name : t -> string
(** For programs. *)

val text : t -> string
(** For people: behind the number of guests, or beside one. *)

val advice : t -> string
(** What to do about it, where no error has a hint. *)

val opens : t -> bool
val is_trouble : t -> bool
(** Those that neither open nor were left alone. *)

val record : Records.guest -> Records.record option
(** The record that decides: the newest one of an action that asks servers, or
    else the list. *)

val of_guest : alone:bool -> Records.guest -> t
(** [alone]: does it hang on one server alone? *)

val troubles : Records.guest -> Pins.trouble list
(** Why a guest does not open, the deciding one first; a few of many. *)
