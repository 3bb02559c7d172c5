(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Numbers of bytes for people. *)

val bytes : int64 -> string
(** ["512 B"], ["16 MiB"], ["1.5 GiB"]: powers of 1024, one digit after the
    point where it is not 0. *)
