(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What all programs of qemu have in common that read images in a sandbox. *)

val memory : images:int -> int
(** Bytes of address space for so many images. *)

val reason : string -> string
(** From what such a program has said: why it failed, in one line, which may be
    what an image made it say.  A node of ours, if the line names one, is left
    out. *)
