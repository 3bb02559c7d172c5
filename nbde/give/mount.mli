(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [--mount]: the guest's filesystems on a folder of this host, by FUSE.

    There are up to three processes: the one that was started, which ends when
    the mount is ready ({!Background}); the one that has the appliance and
    serves the mount; and one that cleans up should that be killed
    ({!Janitor}). *)

type settings = {
  directory : string;
  writable : bool;
  places : Filesystems.place list; (** [[]]: as the guest says *)
  fuse_options : string list;
  fork : bool;
  pid_file : string option;
}

type session

(** In which process are we? *)
type start =
  | Front of int                (** the other one did its work: exit status *)
  | Session of session

val start : settings -> start
(** Check what can be checked before a launch, go to the background if that is
    wanted.  Before there are threads, children or secrets.  Raises
    {!Failure.Error}, {!Signals.Interrupted}. *)

val janitor : session -> Janitor.t

val mount : session -> Guestfs.guestfs -> Types.findings -> unit
(** In the appliance.  Raises {!Failure.Error}. *)

val serve : session -> Guestfs.guestfs -> status:int -> unit
(** Tell the process in the foreground to end with this status, and serve the
    mount until it is unmounted, a signal comes or the appliance dies.  Ends
    the appliance.  Raises {!Failure.Error} if it did not end well, so that
    something that was written may be lost. *)

val finish : session -> unit
(** When all is done, or nothing could be. *)
