(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What other programs get of this process.
 *)

let name = "NBDE_TEST_VARIABLE"

let shell_says expected =
  Process.succeeds "sh"
    ["-c"; Printf.sprintf "test \"${%s-not set}\" = '%s'" name expected]

exception Stopped

let test_variable () =
  let inside value = Process.with_variable name value (fun () ->
    shell_says value) in
  Testing.is_true "not set before" (shell_says "not set");
  Testing.is_true "set for a program" (inside "/one");
  Testing.is_true "not set afterwards" (shell_says "not set");
  Testing.raises "an exception passes" ((=) Stopped) (fun () ->
    Process.with_variable name "/two" (fun () -> raise Stopped));
  Testing.is_true "not set after an exception" (shell_says "not set");
  Unix.putenv name "/three";
  Testing.is_true "another value" (inside "/four");
  Testing.is_true "the old value" (shell_says "/three")

let test_succeeds () =
  Testing.is_true "a program that fails" (not (Process.succeeds "false" []));
  Testing.is_true "no such program"
    (not (Process.succeeds "/nonexistent/program" []))

let () =
  test_variable ();
  test_succeeds ();
  Testing.finish ()
