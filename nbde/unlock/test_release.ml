(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What holds keys can be released at a certain time: then its locked memory is
 * free, and it cannot be used any more.
 *)

(* Before the first key. *)
let () = Clevis.init ()

let is_invalid = function Invalid_argument _ -> true | _ -> false

let none_left what =
  Testing.number (what ^ ": no bytes left") 0 ((Clevis.memory ()).used)

let some_left what =
  Testing.is_true (what ^ ": bytes in use") ((Clevis.memory ()).used > 0)

(* The key of RFC 7517, appendix A.2, as tangd-keygen would write it. *)
let exchange_key = {|{"kty":"EC","crv":"P-256","alg":"ECMR",
  "x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
  "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
  "d":"870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
  "key_ops":["deriveKey"]}|}

let test_key () =
  let key = Clevis.Key.of_string "a passphrase" in
  some_left "key";
  Clevis.Key.release key;
  none_left "key";
  Testing.raises "released key" is_invalid (fun () -> Clevis.Key.length key)

let test_policy () =
  let folder = Filename.concat (Filename.get_temp_dir_name ()) "keys" in
  Unix.mkdir folder 0o700;
  let channel = open_out (Filename.concat folder "exchange.jwk") in
  output_string channel exchange_key;
  close_out channel;
  let policy = Clevis.Policy.create () in
  Clevis.Policy.set_keydir policy folder;
  some_left "policy with keys";
  Clevis.Policy.release policy;
  none_left "policy with keys";
  Clevis.Policy.release policy;
  let is_refused name f = Testing.raises name is_invalid f in
  is_refused "released policy: set" (fun () ->
    Clevis.Policy.allow policy "192.0.2.1");
  is_refused "released policy: settings" (fun () ->
    Clevis.Policy.set_retries policy 1);
  is_refused "released policy: export" (fun () ->
    Clevis.Policy.collect_requests policy);
  is_refused "released policy: exchange" (fun () ->
    Clevis.Exchange.run policy [])

let test_luks () =
  let luks = Clevis.Luks.create ~device:"/dev/sda" ~size:1_048_576L in
  Clevis.Luks.release luks;
  Clevis.Luks.release luks;
  let is_refused name f = Testing.raises name is_invalid f in
  is_refused "released header: next" (fun () -> Clevis.Luks.next luks);
  is_refused "released header: supply" (fun () ->
    Clevis.Luks.supply luks ~offset:0L "LUKS");
  is_refused "released header: info" (fun () -> Clevis.Luks.info luks)

let () =
  none_left "at first";
  test_key ();
  test_policy ();
  test_luks ();
  Testing.finish ()
