(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The bytes of a disk, whatever it is kept in, without an appliance.

    A raw file or block device is read by this process.  Every other image of this
    host is read by a {!Qemu_nbd} of its own, since its format may be hostile.  What
    an NBD server has is read from there.  For what else there is ([ssh], [http],
    formats on servers) there is the appliance. *)

type t

exception Unsafe of string
(** Here it cannot be read in a way that keeps it from other files of this host:
    why.  The appliance can. *)

val open_chain : ?seconds:float -> Chain.t -> t
(** Nothing is opened but the files of the chain, and these in the formats that it
    says; all of them are only read.  Each answer of qemu-nbd has to be there after
    so many [seconds], or {!patience}.  Raises {!Failure.Error}, {!Unsafe},
    {!Signals.Interrupted}. *)

val open_nbd :
  ?seconds:float -> server:string -> export:string -> title:string -> unit -> t
(** [server] is as {!Node.nbd} has it, [title] for messages.  The disk is what the
    server gives: raw.  Raises {!Failure.Error}, {!Signals.Interrupted}. *)

val patience : float

val size : t -> int64
(** Bytes, when it was opened; at most {!Nbd_client.largest}. *)

val read : t -> offset:int64 -> length:int -> string
(** All of these bytes.  Raises {!Failure.Error}, which names the disk, also if they
    are not all inside of it; {!Signals.Interrupted}. *)

val close : t -> unit
(** Once or more often; nothing can be read afterwards. *)

val with_chain : ?seconds:float -> Chain.t -> (t -> 'a) -> 'a
(** {!open_chain}, and {!close} at the end. *)
