(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Options about the guest other than its disks: the domain, keys and headers
 * that it needs, and who opens its devices.
 *)

open Gettext
open Options

type t = {
  domain : string option;
  connect : string option;
  selectors : Given_keys.selector list;
  keys_from_stdin : bool;
  echo_keys : bool;
  headers : (string * string) list;
  place : Plan.place;
}

let initial = {
  domain = None;
  connect = None;
  selectors = [];
  keys_from_stdin = false;
  echo_keys = false;
  headers = [];
  place = On_host;
}

let set_domain text t =
  not_empty text;
  if t.domain <> None then
    usage (f_"option -d can be given only once");
  { t with domain = Some text }

let set_connect text t =
  not_empty text;
  { t with connect = Some text }

let set_header text t =
  match String.index_opt text '=' with
  | Some i when i > 0 && i < String.length text - 1
                && String.starts_with ~prefix:"/dev/" text ->
     let device = String.sub text 0 i in
     let file = String.sub text (i + 1) (String.length text - i - 1) in
     if List.mem_assoc device t.headers then
       raise (Invalid (s_"the device was named before"));
     { t with headers = (device, file) :: t.headers }
  | Some _ | None -> raise (Invalid (s_"is not /dev/NAME=FILE"))

let set_place text t =
  match text with
  | "host" -> { t with place = On_host }
  | "appliance" -> { t with place = In_appliance }
  | _ -> raise (Invalid (s_"neither host nor appliance"))

let options =
  [ opt ["-c"; "--connect"] (value "URI" set_connect)
      (s_"Where libvirt is, for -d");
    opt ["-d"; "--domain"] (value "NAME|UUID" set_domain)
      (s_"Add the disks of a guest of libvirt");
    opt ["--echo-keys"] (Flag (fun t -> { t with echo_keys = true }))
      (s_"Show keys while they are typed");
    opt ["--exchange"] (value "host|appliance" set_place)
      (s_"Who asks the servers");
    opt ["--header"] (value "DEVICE=FILE" set_header)
      (s_"The LUKS header of a device is in a file");
    opt ["--key"]
      (value "ID:key:PASSPHRASE|ID:file:FILE|ID:clevis" (fun text t ->
         { t with selectors = Given_keys.selector text :: t.selectors }))
      (s_"Key of a device that no binding opens");
    opt ["--keys-from-stdin"]
      (Flag (fun t -> { t with keys_from_stdin = true }))
      (s_"Read such keys from standard input") ]

let settings t =
  { t with selectors = List.rev t.selectors; headers = List.rev t.headers }

let check t ~disks =
  match t.domain, t.connect, disks with
  | None, _, [] -> usage (f_"no disk was given: use -a or -d")
  | Some _, _, _ :: _ -> usage (f_"options -a and -d cannot be combined")
  | None, Some _, _ -> usage (f_"option -c needs -d")
  | Some _, _, [] | None, None, _ :: _ -> ()

let names_domain t = t.domain <> None

let guest t disks =
  match t.domain with
  | Some name -> Types.Domain { name; uri = t.connect }
  | None -> Types.Disks disks

let ask t =
  let echo = t.echo_keys in
  if t.keys_from_stdin then Given_keys.Standard_input { echo }
  else Given_keys.Terminal { echo }
