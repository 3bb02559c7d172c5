(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [--preflight]: would the guest's devices open, and what is missing? *)

type checked = {
  device : Types.device;
  result : Clevis.Preflight.result;
}

type t = {
  checked : checked list;
  refused : Types.refused list;
}

val run : probe:bool -> Clevis.Policy.t -> Types.findings -> t
(** Ask the servers of all devices for their advertisements; [probe]: and for
    keys that they do not advertise.  Unlocks nothing. *)

val make :
  Types.findings -> Clevis.Preflight.result list -> t
(** What {!run} makes of the results.  For tests. *)

val result : Types.device -> t -> Clevis.Preflight.result option
(** Of one device. *)

val leaf :
  Clevis.Preflight.result -> token:int -> Clevis.Luks.pin ->
  Clevis.Preflight.leaf option
(** What is known of the server of a pin. *)

val works : checked -> int -> Clevis.Luks.pin -> bool
(** Would this pin of the token with this number open? *)

val exit_status : t -> int
(** 0: every bound device would open; 2: some would not; 3: there is no Clevis
    binding; 4: as 2, but only because no server could be reached. *)
