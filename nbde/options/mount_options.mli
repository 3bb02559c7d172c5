(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The option [--mount], and those that only go with it. *)

type t

val initial : t

val options : ((t -> t) -> 'a -> 'a) -> 'a Options.t list
(** The options, for settings of which [t] is a part. *)

val settings : t -> Mount.settings option
(** [None] without [--mount].  Raises {!Options.Error}. *)
