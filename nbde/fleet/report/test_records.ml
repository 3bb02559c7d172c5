(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Records: what is read of them, and what is said of those that are damaged.
 *)

open Testing

let parse = Records.parse ~keep:Fun.id ~name:"web1" ~action:Records.Keys

let sample = {|{
  "version": 1, "name": "web1", "action": "keys",
  "disks": [{"path": "/srv/web1.qcow2", "format": null}], "domain": null,
  "started": "2026-11-28T17:30:00Z", "seconds": 0.5, "tries": 2,
  "exit_status": 2, "signal": null, "verdict": "failed", "command_status": null,
  "errors": ["virt-nbde-unlock: error: /dev/sda: gone", "more"],
  "document": {"version": 1, "devices": [
    {"device": "/dev/sda", "bound": true, "preflight": null,
     "errors": [{"message": "gone", "line": "/dev/sda: http://A/: gone",
                 "url": "http://A/", "hint": "look"}],
     "luks": {"uuid": "u", "tokens": [
       {"token": 0, "stale": null, "pin": {"pin": "sss", "threshold": 2,
         "error": null, "children": [
           {"pin": "tang", "url": "http://A/", "kid": "K", "error": null,
            "preflight": {"key": "gone", "signatures": true, "address": null,
                          "certificate_expiry": null, "error": null}},
           {"pin": "tpm2", "error": {"code": "unsupported", "message": "m",
                                     "line": "l", "hint": null}},
           {"pin": "tang", "url": "x", "kid": null, "error": null},
           {"pin": "tang", "url": "http://b", "kid": "B",
            "error": {"code": "token"}}]}},
       {"token": 1, "stale": "its keyslot is gone",
        "pin": {"pin": "tang", "url": "http://old", "kid": "O"}}]}}],
   "errors": [{"message": "/dev/sda: gone", "hint": "look"}]}}|}

let changed text by = Str.global_replace (Str.regexp_string text) by sample

let reason text =
  match parse text with
  | Ok _ -> "(nothing)"
  | Error reason -> reason

let () =
  match parse sample with
  | Error reason -> is_true reason false
  | Ok r ->
     text "verdict" "failed" (Records.verdict_name r.verdict);
     number "tries" 2 r.tries;
     text "time" "2026-11-28T17:30:00Z" (Times.rfc3339 r.started);
     equal "errors, each once" (Testing.list Fun.id)
       ["/dev/sda: gone"; "more"]
       (List.map (fun (t : Pins.trouble) -> t.line) r.errors);
     let device = List.hd (Option.get r.devices) in
     let a : Pins.key = { server = "http://a"; url = "http://a"; kid = "K" } in
     is_true "the tree, without what is stale"
       (device.roots
        = [Pins.Sss { threshold = 2;
                      children = [Tang a; Own; Unusable; Unusable] }]);
     is_true "what the server said"
       (List.map (fun (key, (s : Pins.said)) -> key, s.state) device.answers
        = [a, Pins.Gone]);
     text "the cause is the same for all guests" "http://a: gone"
       (List.hd device.errors).cause

let () =
  is_true "not JSON" (String.starts_with ~prefix:"1:1: " (reason "x"));
  text "newer" "its version is 2, this program knows 1"
    (reason (changed "\"version\": 1, \"name\"" "\"version\": 2, \"name\""));
  text "no record" "it is no record" (reason "[]");
  text "another guest" "it is another guest's" (reason (changed "web1" "web2"));
  text "another action" "it is another action's"
    (reason (changed "\"keys\"" "\"list\""));
  text "verdict" "there is no verdict 'fine'"
    (reason (changed "\"verdict\": \"failed\"" "\"verdict\": \"fine\""));
  text "time" "'today' is no time" (reason (changed "2026-11-28T17:30:00Z" "today"));
  text "number" "'tries' is no number"
    (reason (changed "\"tries\": 2" "\"tries\": \"2\""));
  text "huge number" "'tries' is no number"
    (reason (changed "\"tries\": 2" "\"tries\": 99999999999"))

(* Whatever else stands there is nothing, and no reason to end. *)
let () =
  let fine what text = is_true what (Result.is_ok (parse text)) in
  fine "no document" (changed "\"document\": {" "\"other\": {");
  fine "devices that are none" (changed "\"devices\": [" "\"devices\": [1, null,");
  fine "tokens that are none" (changed "\"tokens\": [" "\"tokens\": [[], \"x\",");
  fine "threshold" (changed "\"threshold\": 2" "\"threshold\": -2");
  fine "errors" (changed "\"errors\": [\"" "\"errors\": [{}, 7, \"")

let () =
  let time what expected text =
    equal what (Option.fold ~none:"none" ~some:(Printf.sprintf "%.0f")) expected
      (Times.of_rfc3339 text) in
  time "the beginning" (Some 0.) "1970-01-01T00:00:00Z";
  time "a leap day" (Some 1709210096.) "2024-02-29T12:34:56Z";
  time "no zone" None "2024-02-29T12:34:56";
  time "month" None "2024-13-01T00:00:00Z";
  time "more" None "2024-02-29T12:34:56Z!"

(* A folder. *)
let () =
  in_folder (fun folder ->
    let path = Filename.concat folder in
    Unix.mkdir (path "guests") 0o700;
    let write guest file content =
      let dir = path (Filename.concat "guests" guest) in
      if not (Sys.file_exists dir) then Unix.mkdir dir 0o700;
      write_file (Filename.concat dir file) content in
    write "web1" "keys.json" sample;
    write "web1" "keys.log" "text";
    write "web1" ".list.json-x" "{";
    write "web2" "keys.json" "{";
    write "web3" "dance.json" sample;
    write ".web4" "keys.json" sample;
    write "web5" "keys.log" "text";
    let show (g : Records.guest) =
      Printf.sprintf "%s %d %s" g.name (List.length g.records)
        (String.concat "," (List.map fst g.damaged)) in
    equal "guests" (Testing.list Fun.id)
      ["web1 1 "; "web2 0 keys.json"; "web3 0 dance.json"]
      (List.map show (Records.read folder));
    fails "no state folder" (fun () -> Records.read (path "web1")))

let () = finish ()
