(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** For tests: layouts of disks in memory and in files, watched while they are
    read. *)

(** A disk that a test can write to. *)
type disk = { bytes : Bytes.t; sector_size : int }

val disk : ?sector_size:int -> int -> disk
(** Of so many bytes, which are zero. *)

val of_file : ?sector_size:int -> string -> disk
val to_file : string -> disk -> unit

val put : disk -> int -> string -> unit
(** [put disk offset bytes] *)

val put16 : disk -> int -> int -> unit
val put32 : disk -> int -> int -> unit
val put64 : disk -> int -> int -> unit

val step : disk list -> 'a Step.t -> 'a
(** Run it on these disks.  A read outside of a disk, one that is too long, or
    too many of them fail. *)

val scan : disk list -> Layout.t

val show : Layout.t -> string list
(** A line for each device, as [/dev/sda2 partition 1048576 luks
    sda:4096+1048576], then one for each unknown, as [? /dev/sdb: reason]. *)

val check : string -> string list -> Layout.t -> unit
(** [check name expected found], as {!show} has it. *)

val is_unknown : string -> string -> disk list -> unit
(** [is_unknown name word disks]: there is an unknown with this word in its
    reason or in its place. *)

val output : string -> string list -> string
(** What a program prints.  Fails if that fails. *)

(** Mutants of disks. *)
type mutants = {
  disks : disk list;
  places : (int * int * int) list;
      (** what is changed: the number of the disk, offset and length *)
  change : Random.State.t -> unit;
      (** besides that, half of the time *)
  repair : unit -> unit;        (** make checksums right, mostly *)
}

val longer : int ref
(** A fault to plant: by how much the layout is told that disks are longer. *)

val mutate : ?seed:int -> string -> int -> mutants -> string
(** [mutate name count mutants] scans so many disks that are changed at random,
    the same ones for a seed.  It fails if a scan raises anything but
    {!Failure.Error}, reads outside of a disk, takes more than 100 ms, or finds
    devices that are outside of their disks.  The disks are then as before.
    Returns what became of the mutants, to print. *)
