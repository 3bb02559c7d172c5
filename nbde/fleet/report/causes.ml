(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Many guests fail for one reason.
 *)

type group = {
  cause : string;
  hints : string list;
  guests : Records.guest list;
}

let cause_of guest =
  match Standing.troubles guest with
  | [] -> ""
  | trouble :: _ -> trouble.cause

(* Those of one cause say the same, but for a detail: a few are enough. *)
let most_hints = 2

let hints cause guests =
  let of_guest guest =
    List.filter_map
      (fun (t : Pins.trouble) -> if t.cause = cause then t.hint else None)
      (Standing.troubles guest) in
  List.filteri (fun i _ -> i < most_hints)
    (List.sort_uniq compare (List.concat_map of_guest guests))

let group outcome (cause, guests) =
  { cause = if cause = "" then Standing.text outcome else cause; guests;
    hints = hints cause guests }

let groups outcome guests =
  let table = Hashtbl.create 16 in
  let find cause = Option.value (Hashtbl.find_opt table cause) ~default:[] in
  let add guest =
    let cause = cause_of guest in
    Hashtbl.replace table cause (guest :: find cause) in
  List.iter add (List.rev guests);
  let is_single guest = List.length (find (cause_of guest)) = 1 in
  let all = Hashtbl.fold (fun cause guests l -> (cause, guests) :: l) table [] in
  let shared = List.filter (fun (_, guests) -> List.length guests > 1) all in
  let order (cause, guests) = - List.length guests, cause in
  List.map (group outcome)
    (List.sort (fun a b -> compare (order a) (order b)) shared),
  List.filter is_single guests
