(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What other files the header of a disk image names.

    The header may be hostile.  It is read here, not by qemu, and nothing that
    it names is opened here. *)

type named =
  | Nothing                     (** the disk is in this file alone *)
  | Backing of { file : string; format : string option }
      (** a backing file, as it stands in the header, and its format, if the
          header says it *)

exception Refused of { reason : string; wanted : string option; hint : string }
(** The disk is, in part, in another file ([wanted], if the header says its
    name), or cannot be read without a secret. *)

type read = int64 -> int -> string
(** [read offset length], fewer bytes where the file ends. *)

val named : Image_format.t -> read -> named
(** Reads at most 128 KiB.  What is no header of this format names nothing: it
    is for qemu to say so.  Raises {!Refused}, and whatever [read] raises.

    Sources: as for {!Image_format.detect}. *)
