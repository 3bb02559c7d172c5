(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the parts of the HTML report are made of.
 *)

open Printf

open Gettext
open Html

(* On a field of 16 by 16. *)
let tick = "M3 8.5l3.5 3.5L13 4.5"
let cross = "M4 4l8 8M12 4l-8 8"
let triangle = "M8 2.5l6 11H2zM8 6.5v3M8 11.6v.1"
let ring = "M8 2a6 6 0 100 12A6 6 0 008 2"

let drawings = [
  "opens", tick;
  "opens-with-nothing-to-spare", "M1.5 8.5l3 3.5L11 4.5M14 4v5M14 12v.1";
  "not-asked", "M5 6a3 3 0 116 .5C11 8.5 8 8.5 8 10.5M8 13.4v.1";
  "failed", cross;
  "unreachable", ring ^ "M4 12l8-8";
  "command-failed", "M3 4l4 4-4 4M9 12h4";
  "error", triangle;
  "killed", "M3 3h10v10H3zM6 6l4 4M10 6l-4 4";
  "unbound", "M3.5 8h9";
  "damaged", "M4 2h5l3 3v9H4zM6.5 8l3 3M9.5 8l-3 3";
]

(* Those of servers and keys look like those of guests. *)
let drawing_of = function
  | "advertised" | "answers" -> "opens"
  | "rotated" | "unadvertised" -> "error"
  | "gone" -> "failed"
  | "unknown" | "no-answer" -> "unreachable"
  | name -> name

let marks =
  let symbol (name, path) =
    element "symbol"
      ~attributes:["id", "m-" ^ name; "viewBox", "0 0 16 16"]
      [element "path" ~attributes:["d", path] []] in
  element "svg"
    ~attributes:["class", "away"; "aria-hidden", "true"; "width", "0";
                 "height", "0"]
    (List.map symbol drawings)

let badge name label =
  classed "span" ("badge " ^ name) [
    element "svg" ~attributes:["class", "mark"; "aria-hidden", "true"]
      [element "use" ~attributes:["href", "#m-" ^ drawing_of name] []];
    element "span" [text label];
  ]

let section ~id ~title content =
  let heading = id ^ "-title" in
  element "section"
    ~attributes:["class", "card"; "id", id; "aria-labelledby", heading]
    (element "h2" ~attributes:["id", heading] [text title] :: content)

type column = Words of string | Mark of string | Number of string

let heading (Words name | Mark name | Number name) = name

let class_of = function
  | Number _ -> ["class", "n"]
  | Words _ | Mark _ -> []

(* What is shown as a block has lost its meaning as a table for screen readers,
 * unless its roles are said.
 *)
let role wide name = if wide then ["role", name] else []

(* In a block there are no headings above: a number needs one beside it. *)
let label wide column =
  match column with
  | Number name when wide -> ["data-label", name]
  | Number _ | Words _ | Mark _ -> []

let table ?(wide = false) ~caption ~columns rows =
  let head column =
    let attributes =
      ("scope", "col") :: class_of column @ role wide "columnheader" in
    element "th" ~attributes [text (heading column)] in
  let first content =
    element "th" [content]
      ~attributes:(("scope", "row") :: role wide "rowheader") in
  let other column content =
    element "td" [content]
      ~attributes:(class_of column @ label wide column @ role wide "cell") in
  let row cells =
    let cell i content =
      if i = 0 then first content else other (List.nth columns i) content in
    element "tr" ~attributes:(role wide "row") (List.mapi cell cells) in
  let group = role wide "rowgroup" in
  let attributes =
    ("class", if wide then "wide" else "plain") :: role wide "table" in
  element "table" ~attributes [
    element "caption" [text caption];
    element "thead" ~attributes:group [
      element "tr" ~attributes:(role wide "row") (List.map head columns)];
    element "tbody" ~attributes:group (List.map row rows);
  ]

let scrolled ~label content =
  element "div" [content]
    ~attributes:["class", "scroll"; "role", "region"; "tabindex", "0";
                 "aria-label", label]

let folded ?(opened = false) ?id summary content =
  let attributes = if opened then ["open", ""] else [] in
  let inside =
    ("class", "in") :: Option.to_list (Option.map (fun id -> "id", id) id) in
  element "details" ~attributes [
    element "summary" summary;
    element "div" ~attributes:inside content;
  ]

let names list =
  classed "ul" "names" (List.map (fun name -> element "li" [text name]) list)

let mono s = classed "span" "mono" [text s]

let guests_text n = sprintf (fn_ "%d guest" "%d guests" n) n
