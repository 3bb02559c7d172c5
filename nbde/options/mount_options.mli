(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The option [--mount], and those that only go with it. *)

type t

val initial : t

val options : t Options.t list

val settings : t -> Mount.settings option
(** [None] without [--mount].  Raises {!Options.Error}. *)
