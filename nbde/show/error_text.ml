(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What to say of an exception.
 *)

open Printf

open Gettext

let of_exn = function
  | Failure.Error { message; hint; _ } -> message, hint
  | Clevis.Error { line; hint; _ } -> line, hint
  | Guestfs.Error message ->
     sprintf (f_"libguestfs: %s") (Guestfs_error.line message), None
  | Sys_error message -> message, None
  | Unix.Unix_error (code, call, argument) ->
     sprintf "%s %s: %s" call argument (Unix.error_message code), None
  | Out_of_memory -> s_"out of memory", None
  | e -> sprintf (f_"internal error: %s") (Printexc.to_string e), None
