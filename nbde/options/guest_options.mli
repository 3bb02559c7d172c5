(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Options about the guest other than its disks: the domain, keys and headers
    that it needs, and who opens its devices. *)

type t = {
  domain : string option;       (** name or UUID, of libvirt *)
  connect : string option;      (** URI of libvirt *)
  selectors : Given_keys.selector list;
  keys_from_stdin : bool;
  echo_keys : bool;
  headers : (string * string) list; (** device and file *)
  place : Plan.place;
}

val initial : t

val options : t Options.t list

val settings : t -> t
(** When all options were read: what may be given several times, in order. *)

val check : t -> disks:Types.disk list -> unit
(** Is there one guest?  Raises {!Options.Error}. *)

val names_domain : t -> bool

val guest : t -> Types.disk list -> Types.guest

val ask : t -> Given_keys.ask
