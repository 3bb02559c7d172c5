(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** [--export-requests]: the first step of an exchange in two. *)

(** What became of it. *)
type summary = {
  lines : string list;          (** for people *)
  errors : (string * string option) list;  (** as {!Report.failures} *)
  status : int;                 (** exit status *)
}

val collect : Clevis.Policy.t -> Types.findings -> summary
(** Collect the requests of all devices under a policy that was made to
    collect.  Status 0: enough requests for each bound device; 2: some device
    cannot be opened with their replies; 3: there is no Clevis binding. *)

val write :
  Clevis.Policy.t -> replace:bool -> requests:string -> state:string -> unit
(** Write what was collected to two new files, both or none.  Raises
    {!Clevis.Error} and what {!New_file.write_all} does. *)
