(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Formats of disk images, as qemu names them. *)

type t =
  | Raw
  | Qcow2
  | Qcow                        (** version 1 of qcow2 *)
  | Qed
  | Vmdk
  | Vdi
  | Vhdx
  | Vpc                         (** VHD *)
  | Parallels
  | Bochs
  | Cloop
  | Dmg

val name : t -> string
(** The name of qemu's driver. *)

val of_name : string -> t option
(** Also by the names that libvirt and old images have for [Raw]. *)

val names : string list
(** All, in the order of the type. *)

val head : int
(** How many bytes {!detect} wants to see, from the first on. *)

val detect : string -> t
(** The format that the first bytes of a file claim; fewer than {!head} if there
    are no more.  [Raw] is what claims nothing: the formats that qemu tells by
    the end of a file, or by bytes that a boot sector may well have, are [Raw]
    unless the user names them.

    Sources: docs/interop/qcow2.rst and qed_spec.rst of qemu; Virtual Disk
    Format 5.0 (VMware); VHDX Format Specification and Virtual Hard Disk Image
    Format Specification (Microsoft). *)
