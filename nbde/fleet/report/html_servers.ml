(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The map of servers and keys in the HTML report.
 *)

open Printf

open Gettext
open Html
open Html_parts

let reached_badge (s : Servers.t) =
  match s.reached with
  | Answers -> badge "answers" (s_"answers")
  | Silent _ -> badge "no-answer" (s_"no answer")
  | Nobody_asked -> badge "not-asked" (s_"not asked")

let to_bind (s : Servers.t) =
  List.sort_uniq compare (List.concat_map Servers.to_bind s.keys)

let id i = sprintf "s%d" (i + 1)

let count list = number (List.length list)

let overview servers =
  let row i (s : Servers.t) =
    let link =
      element "a" ~attributes:["href", "#" ^ id i; "class", "mono"]
        [text s.server] in
    [link; reached_badge s; count s.guests; count s.alone; count (to_bind s)] in
  scrolled ~label:(s_"Table of servers")
    (table ~wide:true
       ~caption:(s_"Those on which most guests hang alone come first")
       ~columns:[Words (s_"Server"); Mark (s_"State"); Number (s_"Guests");
                 Number (s_"On it alone"); Number (s_"To bind anew")]
       (List.mapi row servers))

let asked = function
  | None -> s_"not asked"
  | Some time -> Times.text time

(* The key, and the path of its URL if there is one. *)
let key_name (s : Servers.t) (k : Servers.key) =
  let n = String.length s.server in
  match String.sub k.key.url n (String.length k.key.url - n) with
  | "" -> mono k.key.kid
  | path ->
     element "span" [
       mono k.key.kid; element "br" [];
       classed "span" "soft small" [text path] ]

let state_cell (k : Servers.key) =
  element "div" [
    badge (Pins.state_name k.state) (Pins.state_text k.state);
    (if k.signed then none
     else element "div" [element "strong" [text (s_"signatures not good")]]);
  ]

let keys (s : Servers.t) =
  let row (k : Servers.key) =
    [ key_name s k; state_cell k; text (asked k.asked); count k.guests;
      count k.needed_by; count (Servers.to_bind k) ] in
  scrolled ~label:(sprintf (f_"Keys of %s") s.server)
    (table ~wide:true ~caption:(s_"Keys that guests are bound to")
       ~columns:[Words (s_"Key"); Mark (s_"State"); Words (s_"Asked");
                 Number (s_"Guests"); Number (s_"Need it");
                 Number (s_"To bind anew")]
       (List.map row s.keys))

let named title = function
  | [] -> none
  | guests ->
     folded
       [ element "span" [text title];
         classed "span" "soft" [text (guests_text (List.length guests))] ]
       [names guests]

let trouble (s : Servers.t) =
  match s.reached with
  | Answers | Nobody_asked | Silent None -> []
  | Silent (Some t) ->
     element "p" [text t.line]
     :: List.map (fun hint -> classed "p" "hint" [text hint])
          (Option.to_list t.hint)

let certificate (s : Servers.t) =
  match s.expiry with
  | None -> []
  | Some expiry ->
     [classed "p" "soft"
        [text (sprintf (f_"Its certificate is valid until %s.") expiry)]]

let binding (k : Servers.key) =
  let title =
    if k.state = Pins.Gone then
      sprintf (f_"To bind anew, since %s is gone") k.key.kid
    else sprintf (f_"To bind anew before %s may be deleted") k.key.kid in
  named title (Servers.to_bind k)

let server i (s : Servers.t) =
  let n = List.length s.guests in
  folded ~id:(id i)
    [ mono s.server; reached_badge s;
      classed "span" "soft"
        [text (sprintf (fn_ "%d guest, %d alone" "%d guests, %d alone" n) n
                 (List.length s.alone))] ]
    (trouble s @ certificate s
     @ [ keys s;
         named (s_"Stop booting if it dies") s.alone ]
     @ List.map binding s.keys
     @ [ named (s_"Bound to it") s.guests ])

let map t =
  match Summary.shown_servers t with
  | [] -> []
  | servers ->
     let more = List.length t.servers - List.length servers in
     let rest =
       if more = 0 then none
       else
         classed "p" "soft" [
           text (sprintf (fn_ "%d more server: --format=json has it."
                            "%d more servers: --format=json has them." more)
                   more)] in
     [section ~id:"servers" ~title:(s_"Servers and keys") [
        element "p" [
          text (s_"A guest hangs on a server alone if it does not open without \
                   it, whatever its other servers and its TPM do.")];
        overview servers;
        rest;
        element "h3" [text (s_"Each server")];
        element "div" (List.mapi server servers);
      ]]
