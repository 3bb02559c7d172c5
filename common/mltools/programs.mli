(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Programs that are known by their environment. *)

type mark = {
  variable : string;
  value : string;
}
(** They, and what they start, have this variable with this value in the
    environment that they were started with.  Nobody else may have. *)

val finish : ?spare:(string list -> bool) -> mark -> string list
(** End them all, by SIGKILL, and wait until there are none any more, but not
    for long.  Returns the arguments that they had.  A process that has the
    number of one of them by then is left alone, and so are those whose arguments
    are to be [spare]d. *)

val wait : mark -> seconds:float -> bool
(** Wait until there are none any more, at most so long: are there none? *)
