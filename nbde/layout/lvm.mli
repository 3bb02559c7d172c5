(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Logical volumes of LVM2: those that are linear, in one or more segments, on
    one or more physical volumes. *)

type t = {
  volumes : Block.t list;
      (** as [lvs] has them, by name; without extents if a physical volume of
          their group is missing, since they are then listed, but not
          activated *)
  unknown : (string * string) list;
      (** what of them is not understood: a volume group or [GROUP/VOLUME], and
          why *)
}

val volumes : Lvm_label.t list -> t
(** Of all volume groups of these physical volumes. *)
