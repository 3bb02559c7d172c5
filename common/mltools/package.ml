(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The name and version of this package.
 *)

external package_name : unit -> string = "nbde_package_name"
external package_version : unit -> string = "nbde_package_version"

let name = package_name ()
let version = package_version ()

let shown = ref name
let program () = !shown
let set_program name = shown := name
