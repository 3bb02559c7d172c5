(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What became of a guest. *)

type t =
  | Done
  | Error                       (** no such disk, a damaged one, ... *)
  | Failed                      (** a binding that does not open *)
  | Unbound                     (** no binding *)
  | Unreachable                 (** for want of a server *)
  | Command_failed              (** of [run]: keys were there *)
  | Killed                      (** the child, by a signal *)

val all : t list
(** In the order in which they are counted for people. *)

val name : t -> string
(** As in records: ["command-failed"]. *)

val of_name : string -> t option

val text : t -> string
(** For people. *)

val status : t -> int
(** The exit status for a guest of this verdict. *)

val together : t list -> int
(** The exit status for a fleet with these verdicts. *)

val again : retry_failed:bool -> t -> bool
(** Is such a guest worked on by the next run? *)

val passes : t -> bool
(** May it be different in a moment? *)
