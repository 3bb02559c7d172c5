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

let table ?(classes = "") ~caption ~columns rows =
  let class_of number = if number then ["class", "n"] else [] in
  let head (name, number) =
    element "th" ~attributes:(("scope", "col") :: class_of number) [text name] in
  let cell i content =
    let number = snd (List.nth columns i) in
    if i = 0 then element "th" ~attributes:["scope", "row"] [content]
    else element "td" ~attributes:(class_of number) [content] in
  let attributes = if classes = "" then [] else ["class", classes] in
  element "table" ~attributes [
    element "caption" [text caption];
    element "thead" [element "tr" (List.map head columns)];
    element "tbody"
      (List.map (fun row -> element "tr" (List.mapi cell row)) rows);
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
