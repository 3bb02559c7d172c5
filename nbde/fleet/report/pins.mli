(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Trees of pins, as documents have them, and what servers said of their
    keys. *)

type key = {
  server : string;  (** scheme, host and port, in one spelling *)
  url : string;     (** the same with the path *)
  kid : string;
}

type t =
  | Tang of key
  | Sss of { threshold : int; children : t list }
  | Own             (** what the guest has itself: a TPM, nothing at all *)
  | Unusable        (** damaged, or not allowed *)

(** What became of the key of a server. *)
type state =
  | Advertised
  | Rotated         (** not advertised, still answered with *)
  | Unadvertised    (** not advertised; whether it is kept is not known *)
  | Gone
  | Unknown         (** no answer came *)
  | Not_asked

val states : state list
(** Those that need somebody's attention come first. *)

val state_name : state -> string
(** For programs. *)

val state_text : state -> string
(** For people. *)

val is_old : state -> bool
(** Are guests with such a key to be bound anew? *)

(** What went wrong. *)
type trouble = {
  line : string;                (** where, and why *)
  cause : string;               (** why: the same for many guests, if it is a
                                    server's fault *)
  hint : string option;         (** what to try *)
}

val plain : string -> trouble
(** A trouble of which only the line is known. *)

type said = {
  state : state;
  trouble : trouble option;     (** why no answer came *)
  address : string option;
  expiry : string option;       (** of the certificate, as OpenSSL prints it *)
  signed : bool;                (** no advertisement came with bad signatures *)
}

val normal_url : string -> string * string
(** The server of a URL, and all of it, in one spelling. *)

val of_json : keep:(string -> string) -> Json.t -> t
(** A pin of a document.  [keep] gives equal strings one place in memory. *)

val answers : keep:(string -> string) -> Json.t -> (key * said) list
(** Of all pins of a tree that servers were asked for. *)

val errors : Json.t -> trouble list
(** Why pins of a tree cannot be used. *)

val keys : t -> key list

val suffices : (key -> bool) -> t -> bool
(** Does it open, if these keys are there? *)

(** {2 Fields of documents} *)

val text : Json.t -> string option
(** A string, cut if it is longer than anything that we print. *)

val trouble : message:string -> Json.t -> trouble option
(** An error of a document, whose text is in the field [message]. *)
