(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The map of servers and keys in the HTML report. *)

val map : Summary.t -> Html.t list
