(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Programs that have a mark are ended, and no others.
 *)

let variable = "NBDE_TEST_MARK"

(* A shell that writes a line when it runs, and has a child. *)
let start value =
  let reading, writing = Unix.pipe ~cloexec:true () in
  let pid =
    Process.with_variable variable value (fun () ->
      Unix.create_process "sh"
        [| "sh"; "-c"; "sleep 1000 & echo; wait"; "an-argument" |]
        Unix.stdin writing Unix.stderr) in
  Unix.close writing;
  let byte = Bytes.create 1 in
  ignore (Process.again (fun () -> Unix.read reading byte 0 1));
  pid, reading

(* The pipe ends with the last process that has it: the child of the shell. *)
let has_ended (pid, reading) =
  match Unix.select [reading] [] [] 10. with
  | [_], _, _ ->
     Unix.read reading (Bytes.create 1) 0 1 = 0
     && Process.wait pid = Unix.WSIGNALED Sys.sigkill
  | _ -> false

let runs (pid, reading) =
  Unix.select [reading] [] [] 0. = ([], [], [])
  && fst (Unix.waitpid [Unix.WNOHANG] pid) = 0

let () =
  let one = start "one" and another = start "one" and other = start "one-more" in
  let arguments = Programs.finish { variable; value = "one" } in
  Testing.is_true "it is ended, and its child" (has_ended one);
  Testing.is_true "the other one, too" (has_ended another);
  Testing.is_true "arguments" (List.mem "an-argument" arguments);
  Testing.is_true "one with another mark runs" (runs other);
  Testing.is_true "there is none any more"
    (Programs.finish { variable; value = "one" } = []);
  ignore (Programs.finish { variable; value = "one-more" });
  Testing.is_true "now it is ended" (has_ended other);
  Testing.finish ()
