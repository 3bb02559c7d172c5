(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The guests that a libvirt knows. *)

val names : string option -> string array
(** At this URI, or where libvirt looks by itself; sorted, whether they run or
    not.  Raises {!Failure.Error}. *)
