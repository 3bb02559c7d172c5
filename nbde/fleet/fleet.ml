(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * virt-nbde-fleet: the steps in order.  Only here errors are printed and only
 * here the program ends.
 *)

let () = print_endline (Json.to_string (Json.of_string "{\"a\":[1,2.5,null,\"x\"]}"))
