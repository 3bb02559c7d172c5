(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Devices of the appliance that are in use for a moment.

    When a program that could have written to a whole disk closes it, udev in the
    appliance looks at it anew, and the kernel reads its partition table: for so
    long nobody else can have the disk to himself, as device mapper must to open a
    LUKS device on it. *)

val is_busy : string -> bool
(** Does this message of [Guestfs.Error], from opening a LUKS device, say that the
    device was in use? *)

val pauses : float list
(** How many seconds pass before it is tried again, each time. *)

val again : pause:(float -> unit) -> (unit -> 'a) -> 'a
(** The result of the function, which is called again while it raises
    [Guestfs.Error] with such a message, after each of the {!pauses}.  Raises
    what it raised last. *)
