(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A device that is in use is tried again, but not for ever; other errors are
 * not.
 *)

(* The second is as cryptsetup 2.6.1 in an appliance gave it, of a disk that was held.
 * The first was seen once; its end is what device mapper would say of such a disk.
 *)
let reload =
  "cryptsetup_open: cryptsetup exited with status 4: device-mapper: reload \
   ioctl on luks-5f1b4f4e-7d0c-4d8c-9d0e-2f1f6a2b3c4d (254:0) failed: Device or \
   resource busy"
let in_use =
  "cryptsetup_open: cryptsetup exited with status 5: Cannot use device /dev/sda \
   which is in use (already mapped or mounted)."
let wrong_key =
  "cryptsetup_open: cryptsetup exited with status 2: No key available with this \
   passphrase."
let no_memory =
  "cryptsetup_open: cryptsetup exited with status 3: Not enough available \
   memory to open a keyslot."
let exists =
  "cryptsetup_open: /dev/mapper/luks-5 already exists"

let test_messages () =
  Testing.is_true "reload" (Busy.is_busy reload);
  Testing.is_true "in use" (Busy.is_busy in_use);
  List.iter (fun message ->
    Testing.is_true message (not (Busy.is_busy message)))
    [wrong_key; no_memory; exists; ""]

(* Fail with each message in turn, then succeed: calls, and the pauses. *)
let run messages =
  let left = ref messages and paused = ref [] and calls = ref 0 in
  let f () =
    incr calls;
    match !left with
    | message :: others ->
       left := others;
       raise (Guestfs.Error message)
    | [] -> "opened" in
  let pause seconds = paused := seconds :: !paused in
  let result =
    try Busy.again ~pause f with Guestfs.Error message -> message in
  result, !calls, List.rev !paused

let floats = Testing.list string_of_float

let check name messages expected calls pauses =
  let result, called, paused = run messages in
  Testing.text (name ^ ": result") expected result;
  Testing.number (name ^ ": calls") calls called;
  Testing.equal (name ^ ": pauses") floats pauses paused

let rec take n = function
  | first :: others when n > 0 -> first :: take (n - 1) others
  | _ -> []

let test_again () =
  let n = List.length Busy.pauses in
  check "at once" [] "opened" 1 [];
  check "once" [reload] "opened" 2 (take 1 Busy.pauses);
  check "twice" [in_use; reload] "opened" 3 (take 2 Busy.pauses);
  check "another error" [wrong_key; reload] wrong_key 1 [];
  check "then another error" [reload; no_memory] no_memory 2
    (take 1 Busy.pauses);
  check "for ever" (List.init 100 (fun _ -> reload)) reload (n + 1) Busy.pauses

(* Somebody may want to end it: no pause is long, nor all of them. *)
let test_pauses () =
  List.iter (fun seconds ->
    Testing.is_true "a short pause" (seconds > 0. && seconds < 1.)) Busy.pauses;
  Testing.equal "they grow" floats (List.sort compare Busy.pauses) Busy.pauses;
  Testing.is_true "all of them"
    (List.fold_left (+.) 0. Busy.pauses < 5.)

let () =
  test_messages ();
  test_again ();
  test_pauses ();
  Testing.finish ()
