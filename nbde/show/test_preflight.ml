(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The preflight's text and status, from results that are made up.
 *)

open Types

let () = Clevis.init ()

let uuid = "01234567-89ab-cdef-0123-456789abcdef"

(* A binding read from JSON would need real keys; the tree is all that is
 * looked at.
 *)
let pin ?url ?(threshold = 0) ?(children = []) name path =
  { Clevis.Luks.name; path; threshold; children; url; kid = None;
    thp_alg = None; curve = None; params = []; warning = None;
    unusable = None }

let tang i =
  pin "tang" (Printf.sprintf "sss[%d].tang" i)
    ~url:(Printf.sprintf "http://tang%d.example.com" i)

let sss threshold n =
  pin "sss" "sss" ~threshold ~children:(List.init n tang)

let error code message =
  { Clevis.code; message; line = message; hint = None; device = None;
    token = None; keyslot = None; pin = None; url = None; mapped = None;
    address = None; http_status = None }

let leaf_of i ?error key =
  { Clevis.Preflight.token = 0; pin = Printf.sprintf "sss[%d].tang" i; key;
    signatures = true; seconds = 0.0123;
    address = (if key = Clevis.Preflight.Unknown then None
               else Some "192.0.2.1");
    certificate_expiry = None; error }

let unreachable =
  error Clevis.Unreachable "cannot connect: Connection refused"

let device tokens =
  let name = "/dev/sda2" and size = 16_777_216L in
  { name; kind = Partition; size; detached = None;
    luks = Clevis.Luks.create ~device:name ~size;
    info = {
      Clevis.Luks.version = 2; uuid; label = ""; cipher = "aes-xts-plain64";
      key_size = 64; sector_size = 512; data_offset = 0L; note = None;
      keyslots = []; tokens;
    } }

let token ?(kind = "clevis") pin =
  { Clevis.Luks.id = 0; kind; keyslots = [1]; pin = Some pin; stale = None;
    broken = None }

let make ?(refused = []) tokens verdict leaves =
  let outcomes = [{ device = device tokens; state = Untried }] in
  Preflight.make { outcomes; refused; sizes = [] } [{ verdict; leaves }]

let status name expected preflight =
  Testing.number name expected (Preflight.exit_status preflight)

let text name expected preflight =
  Testing.text name (String.concat "\n" expected)
    (String.concat "\n" (Preflight_text.lines preflight))

let two_of_three = [token (sss 2 3)]

let test_status () =
  let open Clevis.Preflight in
  status "opens" 0 (make two_of_three Opens []);
  status "nothing to spare" 0 (make two_of_three No_spare []);
  status "no binding" 3 (make [] Unbound []);
  status "gone" 2
    (make two_of_three Closed
       [leaf_of 0 Advertised; leaf_of 1 Gone; leaf_of 2 Gone]);
  status "enough may come back" 4
    (make two_of_three Closed
       [leaf_of 0 Advertised; leaf_of 1 Gone;
        leaf_of 2 ~error:unreachable Unknown]);
  status "not enough may come back" 2
    (make [token (sss 3 3)] Closed
       [leaf_of 0 Advertised; leaf_of 1 Gone;
        leaf_of 2 ~error:unreachable Unknown]);
  status "forbidden" 2
    (make [token (tang 0)] Closed
       [leaf_of 0 ~error:(error Clevis.Policy "not asked") Unknown]);
  status "damaged header" 2
    (make two_of_three Opens []
       ~refused:[{ name = "/dev/sdb"; kind = Whole_disk;
                   error = error Clevis.Header "damaged" }])

let test_text () =
  let open Clevis.Preflight in
  text "one server" [
    "/dev/sda2 " ^ uuid;
    "  opens with nothing to spare: no server of it may fail";
    "  token 0: tang http://tang0.example.com";
    "    key advertised";
    "    signatures good, 12 ms, 192.0.2.1, certificate valid until Jan 1 00:00:00";
    "    2027 GMT";
  ] (make [token (tang 0)] No_spare
       [{ (leaf_of 0 Advertised) with
          certificate_expiry = Some "Jan  1 00:00:00 2027 GMT" }]);
  text "a tree" [
    "/dev/sda2 " ^ uuid;
    "  does not open: token 0 lacks 1 answer";
    "  token 0: sss, 3 of 4 needed: 2 would answer";
    "    tang http://tang0.example.com";
    "      key advertised";
    "      SIGNATURES NOT GOOD, 12 ms, 192.0.2.1";
    "    tang http://tang1.example.com";
    "      key rotated (not advertised), but still answered with";
    "      signatures good, 12 ms, 192.0.2.1";
    "    tang http://tang2.example.com";
    "      key gone";
    "      signatures good, 12 ms, 192.0.2.1";
    "    tang http://tang3.example.com";
    "      no answer: cannot connect: Connection refused";
  ] (make [token (sss 3 4)] Closed
       [{ (leaf_of 0 Advertised) with signatures = false };
        leaf_of 1 Rotated; leaf_of 2 Gone;
        leaf_of 3 ~error:unreachable Unknown]);
  let wide =
    make [token (tang 0)] Closed
      [leaf_of 0 Unknown
         ~error:(error Clevis.Unreachable
                   (String.concat " " (List.init 40 (fun _ -> "words"))))] in
  Testing.is_true "80 columns"
    (List.for_all (fun line -> String.length line <= 80)
       (Preflight_text.lines wide))

let () =
  test_status ();
  test_text ();
  Testing.finish ()
