(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What memory the appliance needs to open devices with their own headers:
    cryptsetup tries the keyslots in turn, and each takes the memory of its key
    derivation. *)

type need = {
  device : string;
  keyslot : int;                (** the dearest that may be tried *)
  takes : int;                  (** KiB *)
  memsize : int;                (** MiB that the appliance needs for it *)
}

val overhead : int
(** MiB that the appliance needs besides. *)

val tried :
  ?until:int list -> Clevis.Luks.info -> Clevis.Luks.keyslot list
(** The keyslots that cryptsetup tries, in its order: those to be preferred
    first, those to be ignored never.  [until]: not beyond the last of these
    keyslots, one of which will fit. *)

val need : ?until:int list -> Types.device -> need option
(** [None] if no keyslot takes memory worth a word (pbkdf2). *)

val available : unit -> int option
(** MiB of this host that programs may take, from [/proc/meminfo]. *)

val reason : need -> string
(** One line. *)

val missing : need -> available:int option -> (string * string) option
(** An error and a hint if this host has not enough. *)
