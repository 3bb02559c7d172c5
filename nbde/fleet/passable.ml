(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The options that children are given.  What their values may be is known to
 * virt-nbde-unlock alone.
 *)

open Printf

open Gettext
open Options

let flag name help = opt [name] (Flag (fun words -> name :: words)) help

let with_value ?(check = ignore) name metavar help =
  let set text words =
    check text;
    sprintf "%s=%s" name text :: words in
  opt [name] (value metavar set) help

(* A passphrase would be in the memory of this program, and in the arguments of
 * two.
 *)
let no_key_in text =
  match String.split_on_char ':' text with
  | _ :: "key" :: _ ->
     raise (Invalid (s_"a fleet takes keys from files only: ID:file:FILE"))
  | _ -> ()

let guest_options = [
  with_value "--appliance" "auto|always|never"
    (s_"When to launch the appliance");
  with_value "--blocksize" "512|4096" (s_"Sector size of the disks");
  with_value "--exchange" "host|appliance" (s_"Who asks the servers");
  with_value "--header" "DEVICE=FILE"
    (s_"The LUKS header of a device is in a file");
  with_value "--key" "ID:file:FILE|ID:clevis" ~check:no_key_in
    (s_"Key of a device that no binding opens");
  with_value "--memsize" "MIB" (s_"Memory of the appliance");
  flag "--network" (s_"Give the appliance a network (default)");
  flag "--no-network" (s_"Give the appliance no network");
  flag "--no-probe" (s_"Let preflight post nothing to servers");
  flag "--no-quick-open"
    (s_"Open devices with their own headers, at their own cost");
  with_value "--smp" "N" (s_"Number of virtual processors of the appliance");
]

let server_options = [
  with_value "--deadline" "SECONDS"
    (s_"Longest time for the whole exchange with the servers");
  flag "--no-proxy" (s_"Ask servers without a proxy");
  with_value "--tang-allow" "PATTERN"
    (s_"Ask only servers that match a pattern");
  with_value "--tang-allow-file" "FILE"
    (s_"The same, with patterns from a file");
  with_value "--tang-cacert" "FILE"
    (s_"CAs to trust for https, instead of the system's");
  with_value "--tang-cert" "FILE" (s_"Client certificate for https");
  with_value "--tang-connect-timeout" "SECONDS"
    (s_"Longest time until a server is connected to");
  with_value "--tang-key" "FILE" (s_"Its key, if that is in another file");
  with_value "--tang-keydir" "DIR"
    (s_"Answer from a folder of Tang's keys; ask no server");
  with_value "--tang-map" "FROM=TO"
    (s_"Ask another server than the one that a token names");
  with_value "--tang-parallel" "N"
    (s_"Number of requests to one server at a time, of all guests together");
  with_value "--tang-proxy" "URL" (s_"Ask servers through a proxy");
  with_value "--tang-resolve" "HOST:PORT:ADDR"
    (s_"Address of a server, instead of asking a name server");
  with_value "--tang-retries" "N"
    (s_"How often a request is repeated that failed for the moment");
  with_value "--tang-timeout" "SECONDS"
    (s_"Longest time for one request to a server");
]

let options = guest_options @ server_options

let check words =
  match Options.parse options [] (Array.of_list ("LIST" :: words)) with
  | found, [] -> Ok (List.rev found)
  | _, argument :: _ ->
     Error (sprintf (f_"'%s' is not an option") (Escape.text argument))
  | exception Options.Error error -> Error (error_message error)

let for_action ~preflight words =
  if preflight then words else List.filter (( <> ) "--no-probe") words
