(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** The report as JUnit XML, for what shows results of tests: each action is a
    suite, each guest a test case of it. *)

val document : Summary.t -> string
(** Failures are bindings that do not open, errors everything else that went
    wrong; a guest without a binding was skipped. *)
