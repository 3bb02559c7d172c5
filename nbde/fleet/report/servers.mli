(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The map of servers and keys: which guests hang on which Tang server, and
    what became of the keys that they are bound to. *)

type key = {
  key : Pins.key;
  state : Pins.state;
  signed : bool;                (** no advertisement came with bad signatures *)
  asked : float option;         (** when; none if it was not *)
  guests : string list;         (** those that are bound to it *)
  needed_by : string list;      (** those of them that do not open without it *)
}

type reached =
  | Answers
  | Silent of Pins.trouble option
  | Nobody_asked

type t = {
  server : string;
  guests : string list;         (** those that are bound to a key of it *)
  alone : string list;          (** those of them that do not open without it *)
  reached : reached;
  asked : float option;
  expiry : string option;       (** of its certificate, as OpenSSL prints it *)
  keys : key list;              (** those to be looked at first *)
}

val make : Records.guest list -> t list
(** Those on which most guests hang alone come first.

    A guest opens if each of its bound devices opens by one of its tokens.  What
    is not a server, such as a TPM, is taken to be there, and so is a server that
    did not answer: it may come back.  A key that is gone is not. *)

val alone : t list -> string -> bool
(** Does a guest hang on one of these servers alone? *)

val to_bind : key -> string list
(** The guests that must be bound anew before the key may be deleted, if that has
    been rotated, or because it is gone. *)

val guests_to_bind : t list -> string list
(** All of them, each once. *)
