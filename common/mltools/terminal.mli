(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Questions to the person at the terminal.  What is answered is an OCaml string:
    not for keys. *)

val ask : echo:bool -> string -> string option
(** [ask ~echo prompt].  Without [echo], the answer is not shown.  [None] if
    standard input and standard error are not a terminal, or at the end of the
    input. *)
