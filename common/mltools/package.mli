(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The name and version of this package, as configure was told. *)

val name : string
(** ["virt-nbde-unlock"]; also the name of its first program. *)

val version : string

val program : unit -> string
(** The name of the program that runs, as it stands before messages: {!name},
    unless main has said otherwise. *)

val set_program : string -> unit
