(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Numbers and texts of structures on a disk.

    None of the numbers is negative, and none is above {!far}: sums and
    differences of some of them cannot overflow.  The caller has seen to it that
    the bytes are there. *)

val far : int
(** 2{^60}: more bytes than a disk may have.  A larger number is as good as this
    one. *)

val byte : string -> int -> int
val le16 : string -> int -> int
val le32 : string -> int -> int
val be32 : string -> int -> int
val le64 : string -> int -> int

val times : int -> int -> int
(** Of two such numbers, their product, or {!far}. *)

val is_at : string -> int -> string -> bool
(** [is_at bytes offset text]: stands this text there?  Not if the bytes end
    before. *)

val text : string -> int -> int -> string
(** [text bytes offset length], up to the first NUL. *)
