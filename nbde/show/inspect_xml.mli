(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [--output-format=xml]: what virt-inspector(1) writes.

    The same elements in the same order, left out where virt-inspector leaves
    them out, so that what reads its XML can read this.  What the guest says
    cannot make it anything but well-formed: see {!Escape.xml}.  LUKS devices
    are not in it, since virt-inspector's schema has no place for them. *)

val document : Inspect.t -> string
(** The whole document, with a line feed at its end.  The inspection is one with
    [details]. *)
