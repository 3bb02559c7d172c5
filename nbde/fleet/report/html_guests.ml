(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Guests in the HTML report.
 *)

open Printf

open Gettext
open Html
open Html_parts

(* One digit behind the point, so that one of 500 is not nothing. *)
let percent n whole =
  if whole = 0 then "0 %"
  else sprintf "%.1f %%" (100. *. float n /. float whole)

let outcome_badge outcome = badge (Standing.name outcome) (Standing.text outcome)

let bar counts =
  let piece (outcome, n) =
    element "i" []
      ~attributes:["class", Standing.name outcome;
                   "style", sprintf "flex-grow:%d" n] in
  let said (outcome, n) = sprintf "%s: %d" (Standing.text outcome) n in
  element "div" (List.map piece counts)
    ~attributes:["class", "bar"; "role", "img";
                 "aria-label", String.concat ", " (List.map said counts)]

let overview t =
  let counts = Summary.counts t in
  let all = List.length t.Summary.guests and n = Summary.opening t in
  let row (outcome, n) =
    [outcome_badge outcome; number n; text (percent n all)] in
  section ~id:"guests" ~title:(s_"How many open") [
    classed "p" "big" [
      element "strong" [number n];
      element "span" [
        text (sprintf (fn_ "of %d guest opens" "of %d guests open" all) all)];
    ];
    bar counts;
    table ~caption:(s_"Guests by what became of them")
      ~columns:[Mark (s_"Standing"); Number (s_"Guests"); Number (s_"Share")]
      (List.map row counts);
  ]

let when_text (guest : Records.guest) =
  match Standing.record guest with
  | None -> ""
  | Some record ->
     let tries =
       if record.tries > 1 then
         sprintf (fn_ ", %d try" ", %d tries" record.tries) record.tries
       else "" in
     sprintf "%s, %s%s" (Records.action_name record.action)
       (Times.text record.started) tries

let paragraph line = element "p" [text line]
let hint line = classed "p" "hint" [text line]

let row ~hinted guest =
  let troubles = Standing.troubles guest in
  let why (t : Pins.trouble) =
    paragraph t.line
    :: (if hinted then List.map hint (Option.to_list t.hint) else []) in
  [ text guest.Records.name;
    element "div"
      (List.concat_map why troubles
       @ [classed "p" "soft small" [text (when_text guest)]]) ]

let guest_table ~hinted ~caption guests =
  classed "div" "guests" [
    table ~caption ~columns:[Words (s_"Guest"); Words (s_"What happened")]
      (List.map (row ~hinted) guests)]

(* More than that, and nobody reads them one by one. *)
let most_unfolded = 5

let group { Causes.cause; hints; guests } =
  let n = List.length guests in
  folded ~opened:(n <= most_unfolded)
    [ element "span" [text cause];
      classed "span" "soft" [text (guests_text n)] ]
    (List.map hint hints
     @ [guest_table ~hinted:false guests
          ~caption:(sprintf (fn_ "%d guest with this cause"
                               "%d guests with this cause" n) n)])

let troubles_of t (outcome, n) =
  if not (Standing.is_trouble outcome) then []
  else
    let groups, guests = Causes.groups outcome (Summary.guests_of t outcome) in
    [ element "h3" ~attributes:["id", "o-" ^ Standing.name outcome] [
        outcome_badge outcome;
        classed "span" "soft" [text (sprintf " · %s" (guests_text n))] ];
      classed "p" "soft" [text (Standing.advice outcome)];
      (if groups = [] then none else element "div" (List.map group groups));
      (if guests = [] then none
       else
         guest_table ~hinted:true guests
           ~caption:(if groups = [] then s_"Each for a reason of its own"
                     else s_"Others, each for a reason of its own")) ]

let damaged t =
  let of_guest ((guest : Records.guest), outcome) =
    if Standing.is_trouble outcome then []
    else
      List.map (fun (file, reason) ->
        [text guest.name; text (sprintf "%s: %s" file reason)]) guest.damaged in
  match List.concat_map of_guest t.Summary.guests with
  | [] -> []
  | rows ->
     [ element "h3" [badge "damaged" (s_"Records that cannot be read")];
       classed "div" "guests" [
         table ~caption:(s_"These guests have others, which are counted")
           ~columns:[Words (s_"Guest"); Words (s_"File")] rows ] ]

let troubles t =
  match List.concat_map (troubles_of t) (Summary.counts t) @ damaged t with
  | [] -> []
  | content ->
     [section ~id:"troubles" ~title:(s_"Guests that do not open") content]

let all t =
  let to_bind = Hashtbl.create 64 in
  List.iter (fun name -> Hashtbl.replace to_bind name ()) t.Summary.to_bind;
  let row ((guest : Records.guest), outcome) =
    let anew = Hashtbl.mem to_bind guest.name in
    [ text guest.name; outcome_badge outcome;
      text (if anew then s_"bind anew" else "");
      classed "span" "soft" [text (when_text guest)] ] in
  section ~id:"all" ~title:(s_"All guests") [
    folded
      [element "span" [text (guests_text (List.length t.guests))]]
      [ scrolled ~label:(s_"Table of all guests")
          (table ~wide:true ~caption:(s_"All guests, by name")
             ~columns:[Words (s_"Guest"); Mark (s_"Standing"); Words (s_"Keys");
                       Words (s_"Last action")]
             (List.map row t.guests)) ];
  ]
