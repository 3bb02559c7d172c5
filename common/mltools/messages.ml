(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Messages of a virt tool, all on standard error.
 *)

open Printf

open Gettext

type settings = {
  quiet : bool;
  verbose : bool;
  colours : bool;
  wrap : bool;
  machine_readable : out_channel option;
}

let default = {
  quiet = false;
  verbose = false;
  colours = false;
  wrap = false;
  machine_readable = None;
}

type output =
  | Stdout
  | Stderr
  | File of string
  | Descriptor of int

let output_of_string text =
  let after prefix =
    let n = String.length prefix in
    String.sub text n (String.length text - n) in
  match text with
  | "stream:stdout" -> Stdout
  | "stream:stderr" -> Stderr
  | _ when String.starts_with ~prefix:"file:" text && after "file:" <> "" ->
     File (after "file:")
  | _ when String.starts_with ~prefix:"fd:" text ->
     Descriptor (Options.integer ~least:0 ~greatest:65535 (after "fd:"))
  | _ ->
     raise (Options.Invalid
              (s_"not one of stream:stdout, stream:stderr, file:FILE, fd:N"))

let open_output = function
  | Stdout -> stdout
  | Stderr -> stderr
  | File name -> open_out name
  | Descriptor n ->
     let fd = Process.descriptor n in
     match Unix.fstat fd with
     | (_ : Unix.stats) -> Unix.out_channel_of_descr fd
     | exception Unix.Unix_error (error, _, _) ->
        raise (Sys_error (sprintf (f_"file descriptor %d: %s") n
                            (Unix.error_message error)))

let settings = ref default
let set s = settings := s
let get () = !settings

let start = Unix.gettimeofday ()
let elapsed () = Unix.gettimeofday () -. start

let clear = ref (fun () -> ())
let before_text f = clear := f

let is_terminal = lazy (Unix.isatty Unix.stderr)

type kind = {
  json : string option;         (* "type" of the JSON object *)
  colour : string;              (* SGR parameter *)
  head : unit -> string;
}

let after_name text () = sprintf "%s: %s" (Package.program ()) text

let message_kind = {
  json = Some "message";
  colour = "32";
  head = (fun () -> sprintf "[%6.1f]" (elapsed ()));
}
let info_kind = {
  json = Some "info";
  colour = "35";
  head = (fun () -> Package.program () ^ ":");
}
let warning_kind = {
  json = Some "warning";
  colour = "34";
  head = (fun () -> after_name (s_"warning:") ());
}
let error_kind = {
  json = Some "error";
  colour = "31";
  head = (fun () -> after_name (s_"error:") ());
}
let hint_kind = {
  json = Some "info";
  colour = "35";
  head = (fun () -> after_name (s_"hint:") ());
}
let debug_kind = {
  json = None;
  colour = "2";
  head = (fun () -> Package.program () ^ ":");
}

(* RFC 3339, in UTC. *)
let timestamp () =
  let now = Unix.gettimeofday () in
  let seconds = floor now in
  let tm = Unix.gmtime seconds in
  sprintf "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ"
    (tm.tm_year + 1900) (tm.tm_mon + 1) tm.tm_mday
    tm.tm_hour tm.tm_min tm.tm_sec
    (int_of_float ((now -. seconds) *. 1e6))

let print_json ?(more = []) channel kind text =
  let json =
    Json.Dict ([
      "message", Json.String text;
      "timestamp", Json.String (timestamp ());
      "type", Json.String kind;
    ] @ more) in
  fprintf channel "%s\n%!" (Json.to_string json)

let wrap_width = 78

let print_text kind text =
  let { colours; wrap; _ } = !settings in
  let head = kind.head () in
  let first = Escape.width head + 1 in
  let text = Escape.lines text in
  let text =
    if wrap || Lazy.force is_terminal then
      String.split_on_char '\n' text
      |> List.map (Wrap.paragraph ~width:wrap_width ~indent:2 ~first)
      |> String.concat "\n"
    else text in
  let head =
    if colours || Lazy.force is_terminal then
      sprintf "\027[%sm%s\027[0m" kind.colour head
    else head in
  !clear ();
  eprintf "%s %s\n%!" head text

(* Nobody is left to tell if standard error cannot be written. *)
let print kind text =
  try
    match !settings.machine_readable, kind.json with
    | Some channel, Some json -> print_json channel json text
    | Some _, None | None, _ -> print_text kind text
  with Sys_error _ -> ()

let print_if wanted kind text = if wanted !settings then print kind text

let not_quiet s = not s.quiet
let verbose s = s.verbose

let message fmt = ksprintf (print_if not_quiet message_kind) fmt
let info fmt = ksprintf (print_if not_quiet info_kind) fmt

(* Set when nobody reads standard error any more. *)
let log = ref None
let to_log f = log := Some f

let print_or_log ~error kind text =
  Option.iter (fun log -> log ~error text) !log;
  print kind text

let warning fmt = ksprintf (print_or_log ~error:false warning_kind) fmt
let error fmt = ksprintf (print_or_log ~error:true error_kind) fmt

(* Those that were printed. *)
let hints = Hashtbl.create 8

let print_hint text =
  if not (Hashtbl.mem hints text) then (
    Hashtbl.replace hints text ();
    print_or_log ~error:false hint_kind text
  )

let hint fmt = ksprintf print_hint fmt
let debug fmt = ksprintf (print_if verbose debug_kind) fmt

let console text =
  if verbose !settings then
    let text = String.concat "" (String.split_on_char '\r' text) in
    try eprintf "%s%!" (Escape.lines text) with Sys_error _ -> ()

let progress_interval = 0.2

let last_progress = ref neg_infinity

let print_progress channel ~position ~total =
  let text = sprintf "%Ld/%Ld" position total in
  let more = ["position", Json.Int position; "total", Json.Int total] in
  try print_json ~more channel "progress" text with Sys_error _ -> ()

let progress ~position ~total =
  match !settings.machine_readable with
  | None -> false
  | Some channel ->
     let now = elapsed () in
     if now -. !last_progress >= progress_interval || position = total then (
       last_progress := now;
       print_progress channel ~position ~total
     );
     true

let prompt fmt =
  let print text =
    !clear ();
    eprintf "%s%!" (Escape.lines text) in
  ksprintf print fmt
