(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Text of any length in bounded memory: its beginning and its end. *)

type t

val make : int -> t
(** For at most about so many bytes. *)

val add : t -> Bytes.t -> int -> int -> unit
(** [add t bytes offset length] *)

val contents : t -> string
(** If it was longer, a line in the middle says how much is missing. *)
