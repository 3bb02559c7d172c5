(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What to say of an exception. *)

val of_exn : exn -> string * string option
(** One line for whatever went wrong, and what to try. *)
