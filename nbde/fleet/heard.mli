(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What a child says, in bounded memory, whatever disk made it say that: first a
    document on standard output, then, if it runs a command, what that says. *)

type t

val make : unit -> t

type stream = Stdout | Stderr

val hear : t -> stream -> Bytes.t -> int -> unit
(** The first bytes of this buffer. *)

val document : t -> Json.t option
(** The document, once that is complete: a command may begin then, and take long. *)

type result = {
  document : Json.t;            (** [Null] if there was none *)
  problem : string option;      (** what was wrong with it *)
  errors : string list;         (** messages that are errors, one line each *)
  log : string;                 (** all but the document *)
}

val result : t -> result
