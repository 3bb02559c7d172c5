(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Work that is done beside other work, in a thread.
 *)

type 'a outcome =
  | Done of 'a * (Timing.step * float) list
  | Failed of exn * Printexc.raw_backtrace

type 'a t = {
  outcome : 'a outcome option ref;
  thread : Thread.t;
  end_ : unit -> unit;
}

(* A thread that lives until it is told to end.  While the other one is in C, the
 * runtime of OCaml 4 may have the thread that ran last for the current one; where
 * C forks then, as libguestfs does, the new process looks at that, and crashes if
 * the thread has ended.
 *)
let create work =
  let lock = Mutex.create () and changed = Condition.create () in
  let may_end = ref false in
  let locked f =
    Mutex.lock lock;
    Fun.protect ~finally:(fun () -> Mutex.unlock lock) f in
  let work () =
    work ();
    locked (fun () ->
      while not !may_end do Condition.wait changed lock done) in
  let thread = Thread.create work () in
  let end_ () =
    locked (fun () ->
      may_end := true;
      Condition.broadcast changed);
    Thread.join thread in
  thread, end_

let start f =
  let outcome = ref None in
  let work () =
    outcome :=
      Some (
        match Timing.apart f with
        | result, steps -> Done (result, steps)
        | exception e -> Failed (e, Printexc.get_raw_backtrace ())) in
  let thread, end_ = create work in
  { thread; end_; outcome }

let result t ~step ~from =
  let (), waited = Timing.clock (fun () ->
    Timing.step step t.end_) in
  match !(t.outcome) with
  | Some (Done (result, steps)) ->
     Timing.absorb steps ~from ~waited:(step, waited);
     result
  | Some (Failed (e, backtrace)) -> Printexc.raise_with_backtrace e backtrace
  | None -> invalid_arg "Beside.result"

let stop t =
  Signals.stop t.thread;
  t.end_ ()
