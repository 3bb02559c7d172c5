(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The libguestfs appliance: disks, memory, network, launch and end. *)

(** The memory that devices take, as far as it is known before the launch. *)
type foreseen = {
  all : bool;                   (** there are no other devices *)
  need : Memory.need option;    (** the greatest need *)
}

val unforeseen : foreseen

type settings = {
  memsize : int option;         (** MiB; [None]: what is needed, but at least what
                                    libguestfs takes, or {!default_memsize} if
                                    not all was foreseen *)
  foreseen : foreseen;
  smp : int option;             (** number of virtual processors *)
  network : bool;
  writable : bool;              (** write to the disks themselves *)
  verbose : bool;
  trace : bool;
}

exception Too_small of Memory.need
exception Other_device of string
(** To be raised by the function that {!with_launched} runs: the appliance needs
    more memory; it has another device by a name than the host has seen. *)

val with_launched :
  janitor:Janitor.t -> lasting:bool -> settings -> Drives.t
  -> (Guestfs.guestfs -> 'a) -> 'a
(** Launch with the disks added, run the function, and close the handle whatever
    happens.  The [janitor] is told of the appliance and of all temporary files.
    If it is [lasting], ^C at the terminal that it was started from does not end
    the appliance.  If the function
    raises {!Too_small}, all this is done again with the memory that is needed,
    if the host has that; if {!Other_device}, once more as it is.  Raises {!Failure.Error}, {!Signals.Interrupted}. *)

val child : Guestfs.guestfs -> int option
(** The process ID of the appliance, if it is a child of this process. *)

val shutdown : Guestfs.guestfs -> unit
(** End it and wait for that.  Raises [Guestfs.Error], also if it did not end
    well. *)

val default_memsize : Guestfs.guestfs -> int
(** What libguestfs takes, and 1024 MiB more: opening a LUKS device pays the
    memory cost of its keyslots inside the appliance. *)
