(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** A computation that asks for bytes.

    Whoever runs it decides how bytes are read: here is no file, no process, no
    wait. *)

type 'a t =
  | Done of 'a
  | Read of {
      source : Block.source;
      offset : int;
      length : int;             (** at least 1, at most {!longest} *)
      next : string -> 'a t;
          (** wants exactly these bytes, all of which are inside of the source;
              raises {!Failure.Error} if it gets fewer *)
    }

val longest : int
(** Bytes of one [Read]: 1 MiB. *)

val return : 'a -> 'a t
val bind : 'a t -> ('a -> 'b t) -> 'b t
val ( let* ) : 'a t -> ('a -> 'b t) -> 'b t

val map_list : ('a -> 'b t) -> 'a list -> 'b list t
(** In the order of the list. *)

val most : int
(** Bytes of one {!read}. *)

val read : Block.t -> int -> int -> string t
(** [read block offset length] has exactly this length: what comes after the end
    of the device is not read, but zero.  Raises {!Unknown.Unknown} if a part of
    the device is missing. *)

val recover : (unit -> 'a t) -> (string -> 'a) -> 'a t
(** [recover f otherwise] is [f ()], or, if that raises {!Unknown.Unknown} at
    any time, [otherwise] of the reason. *)

val run : read:(Block.source -> int -> int -> string) -> 'a t -> 'a
(** To the end.  [read source offset length] *)
