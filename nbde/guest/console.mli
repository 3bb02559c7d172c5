(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What qemu and the appliance say while the appliance starts.  libguestfs shows
    it only with all its debugging messages; here the end of it is kept, which
    tells why a start has failed. *)

type t

val listening : Guestfs.guestfs -> (t -> 'a) -> 'a
(** While the function runs. *)

val last_line : t -> string option
(** The last line that qemu itself said or, if it said nothing, the last line of
    all. *)

val line_of : string -> string option
(** The same of a text. *)
