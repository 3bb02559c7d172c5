(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The bytes of a disk by the NBD protocol, from a server that may be hostile:
    what it says is bounded, and it has to answer in time.

    Source: libnbd(3); doc/proto.md of nbd. *)

type t

exception Failed of string
(** The server has gone, or refuses, or says what it must not, or has not answered
    in time: why, in one line. *)

type server =
  | Connected of Unix.file_descr        (** which is the client's from now on *)
  | Address of Node.nbd_address

val connect : seconds:float -> ?export:string -> server -> t
(** Each answer has to be there after so many seconds; only the look-up of a name
    of a host may take longer.  Raises {!Failed}, {!Signals.Interrupted}. *)

val size : t -> int64
(** Bytes; at most {!largest}. *)

val largest : int64
(** 2{^60}: the end of no part of a disk, as a sum, overflows. *)

val read : t -> offset:int64 -> length:int -> string
(** All of these bytes, which are inside of the disk.  Raises {!Failed},
    {!Signals.Interrupted}. *)

val is_alive : t -> bool
(** May anything be read from it any more? *)

val close : t -> unit
(** Once or more often. *)
