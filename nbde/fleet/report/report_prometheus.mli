(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The report for Prometheus, as a file for the textfile collector of
    node_exporter. *)

val text : Summary.t -> string
(** Guests are numbers only: their names would make too many time series. *)
