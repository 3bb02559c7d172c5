(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** HTML, written so that no text of a disk can become markup. *)

type t

val text : string -> t
(** Escaped, as {!Escape.text} does for people and as HTML needs it; cut if it is
    longer than a reader can use. *)

val number : int -> t

val element : ?attributes:(string * string) list -> string -> t list -> t
(** [element name children].  Values of attributes are escaped, too. *)

val classed : string -> string -> t list -> t
(** [classed name class children] *)

val style : string -> t
(** A style sheet of ours, as it is. *)

val none : t

val to_string : t -> string
(** With the line that HTML documents begin with. *)
