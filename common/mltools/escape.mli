(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Strings from disks and servers, made safe to show.

    What a terminal would obey or what a reader would not see is written out:
    control characters, also those of C1, characters that turn the direction of
    the text or have no width, and bytes that are not UTF-8.  They become
    [\x1b] (a byte) or [\u{202e}] (a character). *)

val text : string -> string
(** For one line: line feeds and tabs are escaped as well. *)

val lines : string -> string
(** As {!text}, but line feeds are kept. *)

val utf8 : string -> string
(** Only make it valid UTF-8: other bytes are escaped. *)

val xml : string -> string
(** For the text of an XML element, before markup is quoted: only control
    characters (but line feeds and tabs), what XML 1.0 does not allow, and bytes
    that are not UTF-8 are escaped. *)

val xml_attribute : string -> string
(** For the value of an XML attribute, where a reader makes spaces of line feeds
    and tabs: they are escaped as well. *)

val width : string -> int
(** Number of characters, that is columns for most scripts. *)
