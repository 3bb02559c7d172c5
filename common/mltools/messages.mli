(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Messages of a virt tool, all on standard error.

    With a machine-readable output, messages, warnings and errors go there as
    JSON objects, one a line, as guestfs(3) ADVANCED MACHINE READABLE OUTPUT
    describes, instead of to standard error as text. *)

type settings = {
  quiet : bool;                 (** no progress and no information *)
  verbose : bool;               (** debugging messages *)
  colours : bool;               (** even if it is not a terminal *)
  wrap : bool;                  (** the same *)
  machine_readable : out_channel option;
}

val default : settings

type output =
  | Stdout
  | Stderr
  | File of string
  | Descriptor of int           (** already open for writing *)

val output_of_string : string -> output
(** As in [--machine-readable=]: [stream:stdout], [file:NAME], [fd:N].
    Raises {!Options.Invalid}. *)

val open_output : output -> out_channel
(** Raises [Sys_error], also for a descriptor that is not open. *)

val set : settings -> unit

val get : unit -> settings

val message : ('a, unit, string, unit) format4 -> 'a
(** What is being done now: [[   1.2] Text]. *)

val info : ('a, unit, string, unit) format4 -> 'a
val warning : ('a, unit, string, unit) format4 -> 'a
val error : ('a, unit, string, unit) format4 -> 'a
(** Only prints. *)

val to_log : (error:bool -> string -> unit) -> unit
(** From now on warnings, errors and their hints go there, for want of a standard
    error. *)

val hint : ('a, unit, string, unit) format4 -> 'a
(** What to try after the error or warning that was just printed, and as much a
    part of it, so that [quiet] does not hide it.  The same advice is given only
    once: with many devices, after the first that needs it. *)

val debug : ('a, unit, string, unit) format4 -> 'a
(** Only with [verbose]; never JSON. *)

val console : string -> unit
(** Part of what another program says, which may be hostile: shown with [-v], as
    it comes, but for control characters. *)

val progress : position:int64 -> total:int64 -> bool
(** Report how far a long operation is as JSON, at most a few times a second:
    [false] if there is no machine-readable output. *)

val prompt : ('a, unit, string, unit) format4 -> 'a
(** Ask on standard error; the answer is typed behind it. *)

val elapsed : unit -> float
(** Seconds since the program started. *)

val before_text : (unit -> unit) -> unit
(** Call this function before each line on standard error: the progress bar
    clears itself. *)
