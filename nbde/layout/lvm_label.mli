(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Physical volumes of LVM2: the label at the beginning, and the text of the
    volume group that it leads to.

    Sources: lib/format_text/layout.h and lib/label/label.h of LVM2; pvck(8). *)

type t = {
  block : Block.t;
  uuid : string;                (** 32 characters *)
  is_used : bool;               (** is it marked as a part of a group? *)
  texts : string list;
      (** of its volume group, from each metadata area; none if it has no group,
          or if other physical volumes have the text *)
}

val has_label : string -> bool
(** Do these first {!Partition_table.head} bytes have something like a label? *)

val read : Block.t -> string -> t Step.t
(** [read block first] of a device that has a label.  Raises {!Unknown.Unknown}
    if the label or the text is damaged. *)

val longest_text : int
