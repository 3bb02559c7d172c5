(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The LUKS headers of block devices: what is read from which device, and what
    is no LUKS device though it looks like one. *)

type t
(** All that were loaded, and where those are that are detached. *)

val make : detached:(string * string) list -> t
(** None are loaded yet.  [detached]: devices, and the file of this host that has
    the header of each. *)

val detached : t -> (string * string) list

val release : t -> unit
(** {!Clevis.Luks.release} all that were loaded, also those that nobody was told
    of. *)

(** What a block device is. *)
type found =
  | Luks of Types.device
  | Refused of Types.refused    (** LUKS, by a header that cannot be used *)
  | Physical_volume             (** of LVM *)
  | Bad_place of string         (** it cannot be read: why *)
  | Other

(** How block devices, which have names, are read: in the appliance, or on this
    host. *)
type reads = {
  size : string -> int64;       (** bytes of a device *)
  read : string -> offset:int64 -> length:int -> string;
      (** fewer bytes where the device ends; raises {!Unreadable} *)
  first : int;                  (** bytes to begin with *)
  little : int;                 (** the same, if these cannot be read *)
  ahead : int;                  (** bytes to read at least, later on *)
  describe : string -> string;  (** as file(1) does *)
}

exception Unreadable of string
(** The device cannot be read; others may. *)

val read : reads -> t -> Types.kind * string -> found
(** Look at a device.  Raises {!Failure.Error} if there is no header in the file
    that is to have it, and what the [reads] raise but {!Unreadable}. *)

val say : string -> found -> unit
(** Warn about what the user should know of a device: a header that is damaged or
    refused. *)
