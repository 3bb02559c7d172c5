(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Run a program that reads what a disk wrote, so that it can do little else.

    The program may read what the system needs to run programs (libraries below
    [/usr] and the like) and the files that are named; write below the folders
    that are named; and make no socket and no process unless it is allowed to.
    Memory, processor time and the time until it ends are bounded.  It gets no new
    privileges and no open files, and may neither trace nor signal others.

    Sources: landlock(7), seccomp(2), seccomp_rule_add(3), setrlimit(2). *)

type rules = {
  read : string list;           (** files, and folders with all below *)
  write : string list;          (** folders below which files may be made *)
  network : bool;               (** may make sockets; then it may also read any
                                    file, since the libraries that connect want
                                    names, keys and certificates *)
  processes : bool;             (** may start others, which may outlive it *)
  seconds : float;              (** until it must have ended *)
}

type outcome = {
  status : Unix.process_status;
  in_time : bool;               (** [false]: it was killed at [seconds] *)
  errors : string;              (** its standard error, at most 64 KiB *)
}

val run : rules -> string -> string list -> outcome
(** [run rules program arguments]; standard input is empty, standard output is
    thrown away.  A program that cannot be started ends with status 127.
    Raises [Unix.Unix_error], {!Signals.Interrupted}. *)

val file_rules : unit -> bool
(** Does the kernel have Landlock?  If not, [read] and [write] are not enforced;
    all the rest is. *)

val succeeded : outcome -> bool
