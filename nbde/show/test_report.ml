(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Outcomes: exit status, lines of --check and --list, errors; names for what
 * is opened.
 *)

open Types

let uuid = "01234567-89ab-cdef-0123-456789abcdef"

let token ?(kind = "clevis") id =
  { Clevis.Luks.id; kind; keyslots = [1]; pin = None; stale = None;
    broken = None }

let device ?(tokens = [token 0]) name =
  { name; kind = Partition; size = 16_777_216L;
    luks = Clevis.Luks.create ~device:name ~size:16_777_216L;
    info = {
      Clevis.Luks.version = 2; uuid; label = "evil\027[31m";
      cipher = "aes-xts-plain64"; key_size = 64; sector_size = 512;
      data_offset = 0L; note = None; keyslots = []; tokens;
    }; detached = None }

let error ?hint ?(code = Clevis.Http) line =
  { Clevis.code; message = "message of " ^ line; line; hint; device = None;
    token = None; keyslot = None; pin = None; url = None; mapped = None;
    address = None; http_status = None }

let key () =
  let reading, writing = Unix.pipe ~cloexec:true () in
  Unix.close writing;
  let key = Clevis.Key.read reading in
  Unix.close reading;
  key

let unlocked () =
  { Clevis.Exchange.key = key (); keyslot = 1; token = 0;
    servers = ["http://a"; "http://b"]; seconds = 0.314; verify_seconds = 0. }

let outcome ?tokens name state = { device = device ?tokens name; state }

let findings ?(refused = []) outcomes =
  let refused =
    List.map (fun name -> { name; kind = Partition; error = error "header" })
      refused in
  { outcomes; refused; sizes = [] }

let unbound name = outcome ~tokens:[token ~kind:"systemd-tpm2" 0] name Unbound
let recovered name = outcome name (Recovered (unlocked ()))
let opened name =
  outcome name (Opened { unlocked = unlocked (); mapname = "luks-x" })
let failed ?code name = outcome name (Failed [error ?code "summary"])
let not_opened name =
  outcome name (Not_opened { unlocked = unlocked (); reason = "no"; hint = None })

let tpm2 = [token ~kind:"systemd-tpm2" 0]
let keyed name =
  outcome ~tokens:tpm2 name
    (Opened_otherwise { opener = Given_key (key ()); mapname = "luks-x" })
let in_appliance name =
  outcome name
    (Opened_otherwise { opener = Clevis_in_appliance; mapname = "luks-x" })
let not_in_appliance name =
  outcome name (Failed_in_appliance { reason = "no" })
let wrong ?(binding = []) name =
  let tokens = if binding = [] then Some tpm2 else None in
  outcome ?tokens name (Wrong_key { reason = "no"; binding })

let test_status () =
  let status name expected ?refused outcomes =
    Testing.number name expected
      (Report.exit_status (findings ?refused outcomes)) in
  status "nothing found" 3 [];
  status "only unbound" 3 [unbound "a"];
  status "recovered" 0 [recovered "a"];
  status "opened, another unbound" 0 [opened "a"; unbound "b"];
  status "failed" 2 [failed "a"];
  status "one of two failed" 2 [opened "a"; failed "b"];
  status "unreachable" 4 [failed ~code:Unreachable "a"];
  status "one of two unreachable" 4 [opened "a"; failed ~code:Unreachable "b"];
  status "unreachable and failed" 2
    [failed ~code:Unreachable "a"; failed "b"];
  status "not opened" 2 [not_opened "a"];
  status "opened by a key" 0 [keyed "a"];
  status "opened by a key, another unbound" 0 [keyed "a"; unbound "b"];
  status "wrong key" 1 [wrong "a"];
  status "wrong key, another failed" 1 [wrong "a"; failed "b"];
  status "clevis in the appliance" 0 [in_appliance "a"];
  status "clevis in the appliance failed" 2 [not_in_appliance "a"];
  status "refused" 2 ~refused:["b"] [];
  status "refused beside opened" 2 ~refused:["b"] [opened "a"];
  status "refused beside unbound" 2 ~refused:["b"] [unbound "a"];
  status "listed" 0 [outcome "a" Untried];
  status "listed, refused beside" 0 ~refused:["b"] [outcome "a" Untried];
  status "listed, unbound" 3
    [outcome ~tokens:[token ~kind:"x" 0] "a" Untried];
  status "listed, refused beside unbound" 2 ~refused:["b"]
    [outcome ~tokens:[token ~kind:"x" 0] "a" Untried]

let show = Testing.list (Printf.sprintf "%S")

let test_lines () =
  Testing.equal "check" show
    [ "a " ^ uuid ^ ": token 0, keyslot 1, http://a http://b, 0.31 s";
      "b " ^ uuid ^ ": no Clevis binding";
      "c " ^ uuid ^ ": failed";
      "d: not usable: message of header" ]
    (Report.check_lines
       (findings ~refused:["d"] [recovered "a"; unbound "b"; failed "c"]));
  let listed = Listing.lines (findings [outcome "a" Untried]) in
  Testing.text "listed" "a: LUKS2, 16 MiB" (List.hd listed);
  Testing.is_true "label is escaped"
    (List.mem "  Label:   evil\\x1b[31m" listed)

let test_failures () =
  let failures outcomes = List.map fst (Report.failures (findings outcomes)) in
  Testing.equal "nothing" show ["no LUKS device was found"] (failures []);
  Testing.equal "no binding" show ["no LUKS device has a Clevis binding"]
    (failures [unbound "a"]);
  Testing.equal "refused beside no binding" show
    ["no LUKS device that could be read has a Clevis binding"]
    (List.map fst (Report.failures (findings ~refused:["b"] [unbound "a"])));
  Testing.equal "fine" show [] (failures [opened "a"; unbound "b"]);
  let failed errors = outcome "a" (Failed (List.map error errors)) in
  Testing.equal "summary alone" show ["s"] (failures [failed ["s"]]);
  Testing.equal "one reason" show ["x"] (failures [failed ["s"; "x"]]);
  Testing.equal "two reasons" show ["s"; "x"; "y"]
    (failures [failed ["s"; "x"; "y"]]);
  Testing.equal "wrong key" show ["a: no key that was given opens it: no"]
    (failures [wrong "a"]);
  Testing.equal "wrong key after a failure" show
    ["x"; "a: no key that was given opens it: no"]
    (failures [wrong ~binding:[error "s"; error "x"] "a"]);
  Testing.equal "clevis in the appliance" show ["a: no"]
    (failures [not_in_appliance "a"]);
  Testing.equal "left closed beside a key" show
    ["b: no Clevis binding, left closed"]
    (Report.unbound (findings [keyed "a"; unbound "b"]));
  Testing.equal "left closed" show ["b: no Clevis binding, left closed"]
    (Report.unbound (findings [opened "a"; unbound "b"]))

let test_names () =
  let name ?(taken = []) uuid =
    Map_name.make ~taken ~device:"/dev/sda2" ~uuid in
  let plain = "luks-" ^ uuid in
  Testing.text "name" plain (name uuid);
  Testing.text "copy" (plain ^ "-2") (name ~taken:[plain] uuid);
  Testing.text "second copy" (plain ^ "-3")
    (name ~taken:[plain ^ "-2"; plain] uuid);
  Testing.text "not a UUID" "luks-dev-sda2" (name "../../etc/passwd");
  Testing.text "empty" "luks-dev-sda2" (name "");
  Testing.text "36 other characters" "luks-dev-sda2" (name (String.make 36 '/'))

let test_reasons () =
  let leaf url message =
    { (error "line") with message; pin = Some "tang"; url = Some url } in
  let failed name errors = outcome name (Failed (error "summary" :: errors)) in
  let reasons name expected outcomes =
    Testing.text name expected
      (String.concat "\n" (Report.common_reasons (findings outcomes))) in
  reasons "one" "" [failed "a" [leaf "http://a" "refused"]];
  reasons "different ones" ""
    [failed "a" [leaf "http://a" "refused"; leaf "http://b" "no key"]];
  reasons "the same, on two devices"
    "2 requests failed for the same reason: refused"
    [failed "a" [leaf "http://a" "refused"; leaf "http://b" "no key"];
     failed "b" [leaf "http://a" "refused"]]

let () =
  Clevis.init ();
  test_status ();
  test_lines ();
  test_failures ();
  test_reasons ();
  test_names ();
  Testing.finish ()
