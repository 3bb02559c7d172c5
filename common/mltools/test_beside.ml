(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Work beside other work: its result, its failure, its end, its time.
 *)

let of_step step =
  Option.value (List.assoc_opt step (Timing.steps ())) ~default:0.

let sum () =
  List.fold_left (fun sum (_, seconds) -> sum +. seconds) 0. (Timing.steps ())

let result t = Beside.result t ~step:Exchange ~from:Launch

(* Both wait: together they take as long as the longer one. *)
let () =
  let other =
    Beside.start (fun () ->
      Timing.step Header (fun () -> Unix.sleepf 0.1);
      42) in
  Timing.step Launch (fun () -> Unix.sleepf 0.3);
  Testing.is_true "the result" (result other = 42);
  Testing.is_true "its steps are counted" (of_step Header >= 0.09);
  Testing.is_true "and not a second time"
    (sum () <= Timing.total () && of_step Launch >= 0.15);
  Beside.stop other

(* The other takes longer. *)
let () =
  let header = of_step Header in
  let other =
    Beside.start (fun () -> Timing.step Header (fun () -> Unix.sleepf 0.2)) in
  Timing.step Launch (fun () -> Unix.sleepf 0.05);
  result other;
  Testing.is_true "what was waited for is its step"
    (of_step Header -. header >= 0.18);
  Testing.is_true "waiting is counted once" (sum () <= Timing.total ());
  Testing.is_true "and nothing is lost" (sum () >= 0.5)

let () =
  let other = Beside.start (fun () -> raise Exit) in
  Testing.raises "what it raised" (fun e -> e = Exit)
    (fun () -> ignore (result other))

(* Where the other thread is done, C may fork, and so may we. *)
let () =
  let other = Beside.start (fun () -> ()) in
  Thread.delay 0.1;
  Testing.is_true "a program runs" (Sys.command "exit 7" = 7);
  Testing.is_true "another one" (Process.succeeds "true" []);
  result other;
  Testing.is_true "and one afterwards" (Process.succeeds "true" [])

(* Without stop, this would take an hour. *)
let () =
  let other =
    Beside.start (fun () ->
      for _ = 1 to 360_000 do
        Signals.check ();
        Unix.sleepf 0.01
      done) in
  Beside.stop other;
  Testing.raises "stopped" (fun e -> e = Signals.Stopped)
    (fun () -> result other);
  Testing.finish ()
