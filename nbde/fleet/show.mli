(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What the user sees of a run: a line for each guest, in the order of the input,
    on standard output; a bar on standard error if that is a terminal; or JSON,
    an object for each guest as it ends. *)

type t

val make : Guest.action -> first:int -> total:int -> t
(** For so many guests, of which the first one has this number in LIST. *)

(** What has become of a guest. *)
type guest = {
  name : string;
  verdict : Verdict.t;
  before : bool;                (** in an earlier run *)
  detail : string;              (** on one line; or empty *)
  seconds : float;
  log : unit -> string;         (** with [run], what the command has said; read
                                    when it is shown *)
  json : (string * Json.t) list;(** for programs *)
}

val guest : t -> int -> guest -> unit
(** This is the last word about the guest of this number, counted from the first. *)

val tick : t -> running:int -> unit
(** Some time has passed. *)

val finish : t -> unit
(** Print the lines that were waiting for their turn, and how many guests have
    ended how. *)

val verdicts : t -> Verdict.t list
(** Of all guests that have one. *)
