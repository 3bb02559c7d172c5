(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Command line options, by getopt_long(3).

    The program's options are one table.  Parsing folds it over a record, so
    that an option is a function from settings to settings. *)

type 'a argument =
  | Flag of ('a -> 'a)
  | Value of { metavar : string; set : string -> 'a -> 'a }
  | Optional of { metavar : string; set : string option -> 'a -> 'a }
      (** given as [--option=VALUE] or not at all *)

type 'a t = {
  names : string list;          (** [["-a"; "--add"]] *)
  argument : 'a argument;
  help : string;                (** one sentence, without a full stop *)
}

val opt : string list -> 'a argument -> string -> 'a t
(** [opt names argument help] *)

val value : string -> (string -> 'a -> 'a) -> 'a argument
(** [value metavar set] *)

val of_part : (('part -> 'part) -> 'a -> 'a) -> 'part t list -> 'a t list
(** Options that set a part of the settings; the function says how the settings
    change with the part. *)

type error =
  | Unknown of string
  | Ambiguous of { option : string; candidates : string list }
  | Missing_value of string
  | Unexpected_value of string
  | Invalid_value of { option : string; value : string; reason : string }
  | Usage of string             (** for the program: options that do not go
                                    together *)

exception Error of error

val error_message : error -> string

exception Invalid of string
(** For [set] to raise, with the reason; becomes [Invalid_value]. *)

val usage : ('a, unit, string, 'b) format4 -> 'a
(** Raises {!Error}: [Usage]. *)

val not_empty : string -> unit
(** Raises {!Invalid} if it is. *)

val integer : least:int -> greatest:int -> string -> int
(** A decimal number in this range, or {!Invalid}. *)

val parse : 'a t list -> 'a -> string array -> 'a * string list
(** [parse options initial argv]: the settings, and the arguments that are not
    options.  [argv.(0)] is the program.  Options may stand anywhere before
    [--], long ones may be abbreviated.  Raises {!Error}. *)

val help : 'a t list -> string
(** The lines of [--help], one option a line where it fits, 80 columns. *)

val short_options : 'a t list -> string list
(** [["-a"; ...]], sorted, for [--short-options] (completion of shells). *)

val long_options : 'a t list -> string list
