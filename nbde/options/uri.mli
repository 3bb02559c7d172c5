(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The argument of [-a]: a file name or a URI, as in every virt tool. *)

val parse : string -> Types.source
(** [nbd://HOST[:PORT]/EXPORT], [nbd+unix:///EXPORT?socket=PATH],
    [ssh://[USER@]HOST[:PORT]/PATH], [http://], [https://] and [file://];
    whatever does not begin with a scheme is a file.  Raises {!Failure.Error}
    for a scheme or a part that cannot be used. *)
