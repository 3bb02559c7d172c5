(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The map of servers and keys.
 *)

open Testing

let key server : Pins.key =
  let url = "http://" ^ server in
  { server = url; url; kid = "key-of-" ^ server }

let tang server = Pins.Tang (key server)
let sss threshold children = Pins.Sss { threshold; children }

let said ?(signed = true) state : Pins.said =
  { state; trouble = None; address = None; expiry = None; signed }

let device ?(bound = true) ?(answers = []) roots : Records.device =
  { name = "/dev/sda"; uuid = None; bound; preflight = None; roots; errors = [];
    answers = List.map (fun (server, said) -> key server, said) answers }

let record ?(action = Records.Preflight) ?(started = 100.) devices
    : Records.record =
  { action; verdict = Done; started; seconds = 0.; tries = 1;
    exit_status = Some 0; signal = None; command_status = None; errors = [];
    devices = Some devices }

let guest name devices : Records.guest =
  { name; records = [record devices]; damaged = [] }

let find servers name =
  List.find (fun (s : Servers.t) -> s.server = "http://" ^ name) servers

let names = Testing.list Fun.id

let alone what expected guests server =
  equal what names expected (find (Servers.make guests) server).alone

(* Who hangs on whom. *)

let () =
  let one roots = [guest "g" [device roots]] in
  alone "one server" ["g"] (one [tang "a"]) "a";
  alone "one of two" [] (one [sss 1 [tang "a"; tang "b"]]) "a";
  alone "two of two" ["g"] (one [sss 2 [tang "a"; tang "b"]]) "a";
  alone "two of three" [] (one [sss 2 [tang "a"; tang "b"; tang "c"]]) "b";
  alone "twice the same server" ["g"]
    (one [sss 1 [tang "a"; tang "a"]]) "a";
  alone "with a TPM" ["g"] (one [sss 2 [tang "a"; Own]]) "a";
  alone "or a TPM" [] (one [sss 1 [tang "a"; Own]]) "a";
  alone "what cannot be used is not there" ["g"]
    (one [sss 1 [tang "a"; Unusable]]) "a";
  alone "tokens are alternatives" [] (one [tang "a"; tang "b"]) "a";
  alone "a tree in a tree" ["g"]
    (one [sss 2 [tang "a"; sss 1 [tang "b"; tang "c"]]]) "a";
  alone "and its other side" []
    (one [sss 2 [tang "a"; sss 1 [tang "b"; tang "c"]]]) "b"

let () =
  let two first second = [guest "g" [first; second]] in
  alone "all devices are needed" ["g"]
    (two (device [tang "a"; tang "b"]) (device [tang "b"])) "b";
  alone "one of them has another" []
    (two (device [tang "a"; tang "b"]) (device [tang "b"])) "a";
  alone "what is not bound is not counted" ["g"]
    (two (device [tang "a"]) (device ~bound:false [])) "a";
  alone "a guest that does not open anyway hangs on nobody" []
    (two (device [tang "a"]) (device [Unusable])) "a";
  equal "nor is it on the map, if it has no tree" string_of_int 0
    (List.length (Servers.make [guest "g" [device []]]))

(* A key that is gone does not help; a server that is silent may come back. *)

let () =
  let with_b state =
    [guest "g" [device [sss 1 [tang "a"; tang "b"]]
                  ~answers:["a", said Advertised; "b", said state]]] in
  alone "the other key is gone" ["g"] (with_b Gone) "a";
  alone "the other server is silent" [] (with_b Unknown) "a";
  alone "the other key is rotated" [] (with_b Rotated) "a"

(* The states of keys. *)

let states guests server =
  let state (k : Servers.key) = k.state in
  List.map state (find (Servers.make guests) server).keys

let show_states = Testing.list Pins.state_name

let () =
  let asked name started state =
    { (guest name []) with
      records = [record ~started [device [tang "a"] ~answers:["a", said state]]] }
  in
  equal "the newest answer counts" show_states [Rotated]
    (states [asked "x" 200. Rotated; asked "y" 100. Advertised] "a");
  equal "in any order" show_states [Rotated]
    (states [asked "y" 100. Advertised; asked "x" 200. Rotated] "a");
  equal "listed only" show_states [Not_asked]
    (states [guest "x" [device [tang "a"]]] "a");
  let servers = Servers.make [asked "x" 200. Rotated; asked "y" 100. Advertised] in
  let key = List.hd (find servers "a").keys in
  equal "rotated: all of them are bound anew" names ["x"; "y"]
    (Servers.to_bind key);
  equal "each once" names ["x"; "y"] (Servers.guests_to_bind servers);
  equal "when it was asked" string_of_float 200. (Option.get key.asked);
  let servers = Servers.make [asked "x" 200. Advertised] in
  equal "advertised: nobody is" names [] (Servers.guests_to_bind servers)

let () =
  let reached guests =
    match (find (Servers.make guests) "a").reached with
    | Answers -> "answers"
    | Silent _ -> "silent"
    | Nobody_asked -> "nobody asked" in
  let one answers = [guest "g" [device [tang "a"] ~answers]] in
  text "it answers" "answers" (reached (one ["a", said Gone]));
  text "it does not" "silent" (reached (one ["a", said Unknown]));
  text "nobody asked it" "nobody asked" (reached (one []))

(* Servers on which most hang alone come first; keys to be looked at do. *)
let () =
  let servers =
    Servers.make [
      guest "g1" [device [tang "few"]];
      guest "g2" [device [tang "many"]];
      guest "g3" [device [tang "many"]];
      guest "g4" [device [sss 1 [tang "both"; tang "many"]]];
    ] in
  equal "order" names ["http://many"; "http://few"; "http://both"]
    (List.map (fun (s : Servers.t) -> s.server) servers);
  equal "guests of one" names ["g2"; "g3"; "g4"] (find servers "many").guests

(* One server has several paths, with keys of their own. *)
let () =
  let at path : Pins.t =
    Tang { server = "http://a"; url = "http://a" ^ path; kid = "K" } in
  let servers =
    Servers.make [guest "g" [device [sss 1 [at "/one"; at "/two"]]]] in
  number "servers" 1 (List.length servers);
  number "keys" 2 (List.length (List.hd servers).keys);
  equal "it fails as a whole" names ["g"] (List.hd servers).alone

let () =
  let same name url expected = text name expected (snd (Pins.normal_url url)) in
  same "capitals" "HTTP://Tang.Example.COM/" "http://tang.example.com";
  same "port of http" "http://a:80/x/" "http://a/x";
  same "port of https" "https://a:443" "https://a";
  same "other port" "http://a:8080" "http://a:8080";
  same "port 443 of http" "http://a:443" "http://a:443";
  same "path keeps its capitals" "http://a/Path" "http://a/Path";
  same "name and password" "http://me:secret@a" "http://a";
  same "no scheme" "a" "http://a";
  same "IPv6" "http://[FE80::1]:80" "http://[fe80::1]";
  same "nothing" "" "http://"

let () = finish ()
