(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What memory the appliance needs for the keyslots that cryptsetup may try.
 *)

let () = Clevis.init ()

let keyslot ?(priority = "normal") slot memory : Clevis.Luks.keyslot =
  { slot; kdf = (if memory = 0 then "pbkdf2" else "argon2id");
    hash = (if memory = 0 then Some "sha256" else None); iterations = 4; memory;
    threads = 1; cipher = "aes-xts-plain64"; key_size = 64; priority;
    refused = None }

let info keyslots : Clevis.Luks.info =
  { version = 2; uuid = "u"; label = ""; cipher = "aes-xts-plain64";
    key_size = 64; sector_size = 512; data_offset = 0L; note = None;
    keyslots; tokens = [] }

let device keyslots : Types.device =
  { name = "/dev/sda2"; kind = Partition; size = 0L;
    luks = Clevis.Luks.create ~device:"/dev/sda2" ~size:0L;
    info = info keyslots; detached = None }

let gib = 1024 * 1024

let slots = List.map (fun (k : Clevis.Luks.keyslot) -> k.slot)

let tried name expected ?until keyslots =
  Testing.equal name (Testing.list string_of_int) expected
    (slots (Memory.tried ?until (info keyslots)))

let needs name expected ?until keyslots =
  let show = function
    | None -> "nothing"
    | Some { Memory.keyslot; memsize; _ } ->
       Printf.sprintf "keyslot %d: %d MiB" keyslot memsize in
  Testing.text name expected (show (Memory.need ?until (device keyslots)))

let test_order () =
  let plain = [keyslot 0 gib; keyslot 1 0; keyslot 5 0] in
  tried "by number" [0; 1; 5] plain;
  tried "the one that fits is the last" [0; 1] ~until:[1] plain;
  tried "one of two fits" [0; 1; 5] ~until:[1; 5] plain;
  tried "none is known" [0] ~until:[] plain;
  tried "preferred first" [3; 0]
    [keyslot 0 0; keyslot ~priority:"ignore" 1 0;
     keyslot ~priority:"prefer" 3 0];
  tried "a preferred one fits" [3] ~until:[3]
    [keyslot 0 0; keyslot ~priority:"prefer" 3 0]

let test_need () =
  let plain = [keyslot 0 gib; keyslot 1 0; keyslot 2 (3 * gib)] in
  needs "the dearest" "keyslot 2: 3328 MiB" plain;
  needs "what is not tried counts not" "keyslot 0: 1280 MiB" ~until:[1] plain;
  needs "rounded up" "keyslot 0: 258 MiB" [keyslot 0 1025];
  needs "pbkdf2" "nothing" [keyslot 0 0; keyslot 1 0];
  needs "no keyslot" "nothing" [];
  needs "what no disk may ask for" "keyslot 0: 4352 MiB"
    [keyslot 0 (64 * gib)]

let test_missing () =
  let need = Option.get (Memory.need (device [keyslot 0 gib])) in
  let missing available = Memory.missing need ~available in
  Testing.is_true "enough" (missing (Some need.memsize) = None);
  Testing.is_true "not known" (missing None = None);
  Testing.text "too little"
    "/dev/sda2: keyslot 0 takes 1 GiB of memory, so the appliance needs \
     1.2 GiB, and this host has only 100 MiB left"
    (Option.fold ~none:"nothing" ~some:fst (missing (Some 100)));
  Testing.is_true "this host has some"
    (match Memory.available () with
     | Some n -> n > 0
     | None -> not (Sys.file_exists "/proc/meminfo"))

let () =
  test_order ();
  test_need ();
  test_missing ();
  Testing.finish ()
