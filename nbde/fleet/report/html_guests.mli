(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Guests in the HTML report. *)

val overview : Summary.t -> Html.t
(** How many open, by outcome: a bar and a table. *)

val troubles : Summary.t -> Html.t list
(** The guests that do not open, by cause: why, and what to do. *)

val all : Summary.t -> Html.t
(** A table of all. *)
