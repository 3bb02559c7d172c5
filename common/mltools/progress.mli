(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A progress bar on standard error, from the progress events of
    libguestfs. *)

val attach : Guestfs.guestfs -> unit
(** Show a bar for whatever this handle takes long for.  Does nothing if
    standard error is not a terminal or messages are not wanted there. *)

val bar : width:int -> position:int64 -> total:int64 -> string
(** The bar itself, [width] columns wide: [[#####-----]  50%]. *)
