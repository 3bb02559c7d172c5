(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The names by which devices are opened. *)

val make : taken:string list -> device:string -> uuid:string -> string
(** The name to open a device by: [luks-UUID], or if that is taken (the devices
    are copies of each other) with [-2], [-3], ... behind it.  A UUID that is
    none, since the disk says what it likes, is replaced by the device's
    name. *)

val free : taken:string list -> Types.device -> string
(** The same. *)

val say : Types.device -> string -> unit
(** Warn of copies, if the device is opened by this name because of one. *)

val choose : taken:string list -> Types.device -> string
(** Both. *)
