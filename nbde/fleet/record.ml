(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What is kept of the last end of an action for a guest.
 *)

type t = {
  guest : Guest.t;
  action : Guest.action;
  asked : Json.t;
  started : float;
  seconds : float;
  tries : int;
  exit_status : int option;
  signal : int option;
  verdict : Verdict.t;
  command_status : int option;
  errors : string list;
  document : Json.t;
}

let version = 1L

let time = Times.rfc3339

let optional f = Option.fold ~none:Json.Null ~some:f
let number n = Json.Int (Int64.of_int n)
let text s = Json.String s

(* Milliseconds are as exact as anybody wants. *)
let rounded seconds = Float.round (seconds *. 1000.) /. 1000.

let to_json t =
  Json.Dict [
    "version", Json.Int version;
    "name", text t.guest.name;
    "action", text (Guest.action_name t.action);
    "disks", Guest.json_of_disks t.guest;
    "domain", optional text t.guest.domain;
    "asked", t.asked;
    "started", text (time t.started);
    "seconds", Json.Float (rounded t.seconds);
    "tries", number t.tries;
    "exit_status", optional number t.exit_status;
    "signal", optional number t.signal;
    "verdict", text (Verdict.name t.verdict);
    "command_status", optional number t.command_status;
    "errors", Json.List (List.map text t.errors);
    "document", t.document;
  ]

type summary = {
  verdict : Verdict.t;
  tries : int;
  started : string;
  document : Json.t;
  line : Json.t;
}

(* As it is written: bytes that are not UTF-8 are escaped then. *)
let is_same record (guest, asked) =
  let same field value =
    Json.to_string (Json.member field record) = Json.to_string value in
  same "disks" (Guest.json_of_disks guest)
  && same "domain" (optional text guest.Guest.domain)
  && same "asked" asked

let without_document = function
  | Json.Dict fields -> Json.Dict (List.remove_assoc "document" fields)
  | other -> other

let read ~same content =
  match Json.of_string content with
  | exception Json.Invalid _ -> None
  | record when not (Option.fold ~none:true ~some:(is_same record) same) -> None
  | record ->
     match
       Json.member "version" record, Json.member "verdict" record,
       Json.member "tries" record, Json.member "started" record
     with
     | Int 1L, String verdict, Int tries, String started ->
        Option.map (fun verdict ->
          { verdict; tries = Int64.to_int tries; started;
            document = Json.member "document" record;
            line = without_document record })
          (Verdict.of_name verdict)
     | _ -> None

let devices document =
  let device json =
    let by = Json.member "unlocked_by" json in
    Json.Dict [
      "device", Json.member "device" json;
      "uuid", Json.member "uuid" (Json.member "luks" json);
      "state", Json.member "state" json;
      "token", Json.member "token" by;
      "keyslot", Json.member "keyslot" by;
      "servers", Json.List (Json.elements (Json.member "servers" by));
    ] in
  Json.List (List.map device (Json.elements (Json.member "devices" document)))
