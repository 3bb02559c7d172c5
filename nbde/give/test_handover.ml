(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The words of the command of --run.
 *)

let keys = ["u1", 5; "u2", 7]

let words name expected command =
  Testing.equal name (Testing.list Fun.id) expected
    (Handover.words command keys)

let both =
  ["--key"; "u1:file:/proc/self/fd/5"; "--key"; "u2:file:/proc/self/fd/7"]

let () =
  words "at the end" (["virt-df"; "-a"; "x"] @ both) ["virt-df"; "-a"; "x"];
  words "where it is said" (["a"] @ both @ ["b"]) ["a"; "{keys}"; "b"];
  words "more than once" (["a"] @ both @ both) ["a"; "{keys}"; "{keys}"];
  words "on standard input" ["a"; "b"] ["a"; "{stdin}"; "b"];
  words "both" (["a"] @ both) ["a"; "{keys}"; "{stdin}"];
  words "only whole words" (["a{keys}"; "{stdin}x"] @ both)
    ["a{keys}"; "{stdin}x"];
  Testing.equal "no key" (Testing.list Fun.id) ["a"]
    (Handover.words ["a"] []);
  Testing.refuses "no command" "option --run needs a command after '--'"
    (fun () -> Handover.check ["{stdin}"; "cat"]);
  Testing.finish ()
