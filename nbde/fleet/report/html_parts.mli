(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** What the parts of the HTML report are made of. *)

val marks : Html.t
(** The drawings of {!badge}: once, at the beginning of a page. *)

val badge : string -> string -> Html.t
(** [badge name text]: a mark and a word, where [name] is that of an outcome, of
    the state of a key, or of a server. *)

val section : id:string -> title:string -> Html.t list -> Html.t
(** A part of the page, with its heading. *)

type column = Words of string | Mark of string | Number of string
(** What a column holds, and its heading. *)

val table :
  ?wide:bool -> caption:string -> columns:column list -> Html.t list list
  -> Html.t
(** The first cell of a row names it.  The rows of a [wide] table become blocks
    where there is no room for its columns. *)

val scrolled : label:string -> Html.t -> Html.t
(** What may be wider than the page: it scrolls, also by the keyboard. *)

val folded : ?opened:bool -> ?id:string -> Html.t list -> Html.t list -> Html.t
(** [folded summary content].  A link to [id] opens it. *)

val names : string list -> Html.t
(** A list of guests. *)

val mono : string -> Html.t
(** A URL, a key. *)

val guests_text : int -> string
(** ["5 guests"] *)
