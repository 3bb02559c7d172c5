(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What libguestfs says of an error, in one line. *)

val line : string -> string
(** Of the message of [Guestfs.Error]: what failed and, where libvirt was asked,
    what libvirt said.  The general advice in between is left out: its environment
    variables are our [-v] and [-x]. *)
