(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The report as one HTML page, which runs no script and loads nothing.
 *)

open Printf

open Gettext
open Html
open Html_parts

let meta attributes = element "meta" ~attributes []

(* If anything of a disk were markup all the same, it could do nothing. *)
let nothing_is_loaded = "default-src 'none'; style-src 'unsafe-inline'"

let title t =
  let all = List.length t.Summary.guests in
  sprintf (fn_ "Fleet report: %d of %d guest opens"
             "Fleet report: %d of %d guests open" all)
    (Summary.opening t) all

let head t =
  element "head" [
    meta ["charset", "utf-8"];
    meta ["http-equiv", "Content-Security-Policy";
          "content", nothing_is_loaded];
    meta ["name", "viewport"; "content", "width=device-width, initial-scale=1"];
    meta ["name", "referrer"; "content", "no-referrer"];
    element "title" [text (title t)];
    Html.style Html_style.css;
  ]

let fact (name, value) =
  element "div" [element "dt" [text name]; element "dd" [text value]]

let facts t =
  let records =
    match Summary.times t with
    | None -> s_"none"
    | Some (first, last) ->
       let first = Times.text first
       and last = Times.text last in
       if first = last then first else sprintf (f_"%s to %s") first last in
  classed "dl" "facts"
    (List.map fact [
       s_"State folder", t.Summary.state;
       s_"Records", records;
       s_"Report made", Times.text t.made;
     ])

let header t =
  classed "header" "top" [
    element "div" [
      classed "p" "soft small" [text "virt-nbde-fleet"];
      element "h1" [text (s_"Fleet report")] ];
    facts t;
  ]

let target : Summary.task -> string option = function
  | Look (outcome, _) -> Some ("#o-" ^ Standing.name outcome)
  | Bind _ | Revive _ | Unsigned _ | Second _ -> Some "#servers"
  | Ask _ -> None

let task t =
  let content = text (Summary.task_text t) in
  match target t with
  | None -> element "li" [content]
  | Some href -> element "li" [element "a" ~attributes:["href", href] [content]]

let tasks t =
  let content =
    match Summary.tasks t with
    | [] -> element "p" [text (s_"Nothing.")]
    | tasks -> classed "ol" "todo" (List.map task tasks) in
  section ~id:"todo" ~title:(s_"What to do") [content]

let navigation parts =
  let link (id, name) =
    element "li" [element "a" ~attributes:["href", "#" ^ id] [text name]] in
  element "nav" ~attributes:["aria-label", s_"On this page"]
    [element "ul" (List.map link parts)]

let footer =
  element "footer" [
    classed "p" "soft small" [
      text (sprintf (f_"Made by virt-nbde-fleet %s.  The page loads nothing and \
                        runs no script.") Package.version)]]

let body t =
  let troubles = Html_guests.troubles t and map = Html_servers.map t in
  let part id name content = if content = [] then [] else [id, name] in
  element "body" [
    element "a" ~attributes:["class", "skip"; "href", "#main"]
      [text (s_"Skip to the report")];
    marks;
    header t;
    element "main" ~attributes:["id", "main"; "tabindex", "-1"]
      ([ navigation
           (["guests", s_"How many open"; "todo", s_"What to do"]
            @ part "troubles" (s_"Guests that do not open") troubles
            @ part "servers" (s_"Servers and keys") map
            @ ["all", s_"All guests"]);
         classed "div" "pair" [Html_guests.overview t; tasks t] ]
       @ troubles @ map
       @ [Html_guests.all t]);
    footer;
  ]

let document t =
  (* The code of the language into which you translate. *)
  let language = s_"en" in
  Html.to_string (element "html" ~attributes:["lang", language] [head t; body t])
