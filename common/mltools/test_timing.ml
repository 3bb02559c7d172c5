(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Timing: nothing is counted twice, and nothing is lost.
 *)

let spend seconds () =
  let until = Unix.gettimeofday () +. seconds in
  while Unix.gettimeofday () < until do () done

let of_step step =
  Option.value (List.assoc_opt step (Timing.steps ())) ~default:0.

(* A loaded machine takes longer, never shorter but for rounding. *)
let at_least name seconds step =
  Testing.is_true name (of_step step >= 0.9 *. seconds)

let () =
  Testing.equal "nothing yet" (Testing.list Timing.name) []
    (List.filter (fun step -> step <> Timing.Start)
       (List.map fst (Timing.steps ())));
  Timing.step Open (fun () ->
    spend 0.02 ();
    Timing.step Header (spend 0.03));
  Testing.raises "exceptions pass" (fun e -> e = Exit)
    (fun () -> Timing.step Launch (fun () -> spend 0.02 (); raise Exit));
  at_least "outer" 0.02 Open;
  at_least "inner" 0.03 Header;
  at_least "that failed" 0.02 Launch;
  let sum () =
    List.fold_left (fun sum (_, seconds) -> sum +. seconds) 0.
      (Timing.steps ()) in
  let before = sum () and launch = of_step Launch in
  Testing.is_true "not more than there was" (before <= Timing.total ());
  Timing.move 0.01 ~from:Launch ~into:Verify;
  Testing.is_true "moved"
    (Float.abs (of_step Launch -. (launch -. 0.01)) < 1e-9
     && Float.abs (of_step Verify -. 0.01) < 1e-9);
  Timing.move 1000. ~from:Launch ~into:Verify;
  Testing.is_true "no step takes less than nothing" (of_step Launch = 0.);
  Testing.is_true "nothing is lost" (Float.abs (sum () -. before) < 1e-9);
  Testing.equal "in order" (Testing.list Timing.name)
    [Start; Launch; Header; Verify; Open] (List.map fst (Timing.steps ()));
  Testing.finish ()
