(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Run a program that reads what a disk wrote, so that it can do little else.

    The program may read what the system needs to run programs (libraries below
    [/usr] and the like) and the files that are named; write below the folders
    that are named; and make no socket and no process unless it is allowed to.
    Memory, processor time, the size of files and the time until it ends are
    bounded.  It gets no new privileges, no terminal and no open files but those that
    it is given, may neither trace nor signal others, and changes no owner, mode or
    date of a file.  Root has no privilege in it but to read and write files of
    others.

    Sources: landlock(7), seccomp(2), seccomp_rule_add(3), setrlimit(2). *)

(** What sockets it may make. *)
type network =
  | No_network
  | Internet                    (** IPv4 and IPv6 *)
  | All_sockets                 (** those of this host, too *)
  | Accept                      (** none; but it may accept connections on one
                                    that it is given: see {!start} *)

type rules = {
  read : string list;           (** files, and folders with all below *)
  write : string list;          (** folders below which files may be made *)
  network : network;            (** with one, what the system has about names and
                                    certificates, and [~/.ssh], may be read *)
  processes : bool;             (** may start others, which may outlive it *)
  memory : int;                 (** bytes of address space *)
  seconds : float;              (** until it must have ended *)
}

val enough_memory : int
(** A gigabyte, which libguestfs gives qemu-img as well. *)

type outcome = {
  status : Unix.process_status;
  in_time : bool;               (** [false]: it was killed at [seconds] *)
  errors : string;              (** its standard error, at most 64 KiB *)
}

val run : rules -> string -> string list -> outcome
(** [run rules program arguments]; standard input is empty, standard output is
    thrown away.  A program that cannot be started ends with status 127.
    Raises [Unix.Unix_error] ([ENOENT]: it is nowhere in PATH),
    {!Signals.Interrupted}. *)

type process
(** One that goes on running. *)

val start :
  rules -> given:Unix.file_descr list -> string -> string list -> process
(** As {!run}, but it is not waited for: it ends by itself, by {!stop} or
    {!finish}, of which one must be called once, or with this process.  [seconds]
    of the rules does not count.

    [given] become its descriptors 3, 4 and so on.  With {!Accept} the first one is
    a socket that listens, and it is told so as by systemd: sd_listen_fds(3). *)

val stop : process -> unit
(** End it at once, whatever signals have come. *)

val finish : process -> seconds:float -> outcome
(** Wait for its end, which is made after so many seconds.  Raises
    {!Signals.Interrupted}; it has ended then, too. *)

val file_rules : unit -> bool
(** Does the kernel have Landlock?  If not, [read] and [write] are not enforced;
    all the rest is. *)

val succeeded : outcome -> bool
