(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * From the XML of a domain to its disks.
 *)

open Printf

open Gettext
open Types

type t = {
  disks : disk list;
  settings : (string * string) list;
}

type node =
  | Element of string * (string * string) list * node list
  | Text of string

let tree xml =
  let input = Xmlm.make_input ~strip:true (`String (0, xml)) in
  let el (((_, name), attributes) : Xmlm.tag) children =
    Element (name, List.map (fun ((_, name), value) -> name, value) attributes,
             children) in
  snd (Xmlm.input_doc_tree ~el ~data:(fun text -> Text text) input)

let children = function
  | Element (_, _, children) -> children
  | Text _ -> []

let named name = function
  | Element (other, _, _) -> other = name
  | Text _ -> false

let all name node = List.filter (named name) (children node)

let child name node =
  match all name node with
  | child :: _ -> Some child
  | [] -> None

let attribute name = function
  | Element (_, attributes, _) -> List.assoc_opt name attributes
  | Text _ -> None

let attribute_of_child node path name =
  Option.bind (child path node) (attribute name)

let content node =
  String.concat "" (List.filter_map (function
    | Text text -> Some text
    | Element _ -> None) (children node))

let needed what = function
  | Some value -> value
  | None -> Failure.error (f_"a disk of it has no %s") what

(* The first of several servers, as libguestfs takes it. *)
let server source =
  let host = needed "<host>" (child "host" source) in
  match attribute "transport" host, attribute "socket" host with
  | Some "unix", Some socket -> "unix:" ^ socket
  | _ ->
     let name = needed "host name" (attribute "name" host) in
     let name =
       if String.contains name ':' then sprintf "[%s]" name else name in
     match attribute "port" host with
     | Some port -> name ^ ":" ^ port
     | None -> name

(* What changes where the bytes of the disk are, or how they are read. *)
let check_source disk source =
  let has name node = child name node <> None in
  let unknown =
    List.filter snd
      ["encryption", has "encryption" disk || has "encryption" source;
       "slices", has "slices" source;
       "cookies", has "cookies" source;
       "query", attribute "query" source <> None;
       "tls", attribute "tls" source = Some "yes"] in
  if unknown <> [] then
    Failure.error ~hint:(s_"Give its disks with -a.")
      (f_"a disk of it cannot be read: its XML has %s")
      (String.concat ", " (List.map fst unknown))

let network disk source =
  let protocol = needed "protocol" (attribute "protocol" source) in
  let name = Option.value (attribute "name" source) ~default:"" in
  let username = attribute_of_child disk "auth" "username" in
  let path =
    match protocol with
    | "nbd" -> name
    | "ssh" | "http" | "https" ->
       if String.starts_with ~prefix:"/" name then name else "/" ^ name
    | _ ->
       Failure.error
         ~hint:(s_"Give its disks with -a, for example by an nbd:// URI.")
         (f_"a disk of it is reached by %s, which is none of nbd, ssh, http, \
             https") protocol in
  Remote { protocol; server = server source; username; password = None; path }

let source_of ~path_of_volume disk =
  let kind = needed "type" (attribute "type" disk) in
  let source = child "source" disk in
  Option.iter (check_source disk) source;
  let file name = Option.map (fun file -> File file)
                    (Option.bind source (attribute name)) in
  match kind, source with
  | "file", _ -> file "file"
  | "block", _ -> file "dev"
  | "network", Some source -> Some (network disk source)
  | "volume", Some source ->
     let pool = needed "pool" (attribute "pool" source) in
     let volume = needed "volume" (attribute "volume" source) in
     Some (File (path_of_volume ~pool volume))
  | _, None -> None
  | kind, Some _ ->
     Failure.error ~hint:(s_"Give its disks with -a.")
       (f_"a disk of it has the type '%s', which is none of file, block, \
           network, volume") kind

(* What is not said is what libvirt takes it for.  To look instead would be to
 * let the guest choose.
 *)
let format_of disk =
  Option.value (attribute_of_child disk "driver" "type")
    ~default:(Image_format.name Raw)

let blocksize_of disk =
  match attribute_of_child disk "blockio" "logical_block_size" with
  | Some "4096" -> Some 4096
  | Some _ | None -> None

let is_of_guest disk =
  (match attribute "device" disk with
   | Some ("cdrom" | "floppy") -> false
   | Some _ | None -> true)
  && child "readonly" disk = None

(* The names are those that libguestfs gives itself. *)
let settings_of domain =
  let is_selinux label = attribute "model" label = Some "selinux" in
  match List.find_opt is_selinux (all "seclabel" domain) with
  | None -> []
  | Some seclabel ->
     let setting name element =
       Option.to_list
         (Option.map (fun node -> name, content node)
            (child element seclabel)) in
     setting "internal_libvirt_label" "label"
     @ setting "internal_libvirt_imagelabel" "imagelabel"
     @ if attribute "relabel" seclabel = Some "no" then
         ["internal_libvirt_norelabel_disks", "1"]
       else []

let parse ~path_of_volume xml =
  let domain =
    try tree xml
    with Xmlm.Error (_, error) ->
      Failure.error (f_"its XML cannot be read: %s") (Xmlm.error_message error)
  in
  let disks =
    List.filter is_of_guest
      (List.concat_map (all "disk") (all "devices" domain)) in
  let disk element =
    Option.map (fun source ->
      { source; format = Some (format_of element);
        blocksize = blocksize_of element })
      (source_of ~path_of_volume element) in
  { disks = List.filter_map disk disks; settings = settings_of domain }

let text { name; uri } =
  match uri with
  | None -> name
  | Some uri -> sprintf (f_"%s (at %s)") name uri

(* libvirt's own words. *)
let words (error : Libvirt.Virterror.t) =
  match error.message with
  | Some message -> String.trim message
  | None -> Libvirt.Virterror.to_string error

(* What libvirt asks for is not a key of a disk. *)
let answer (credential : Libvirt.Connect.credential) =
  match credential.typ with
  | CredentialUsername | CredentialAuthname | CredentialEchoprompt ->
     Terminal.ask ~echo:true credential.prompt
  | CredentialPassphrase | CredentialNoechoprompt ->
     Terminal.ask ~echo:false credential.prompt
  | _ -> credential.defresult

let auth = {
  Libvirt.Connect.credtype = [
    CredentialUsername; CredentialAuthname; CredentialEchoprompt;
    CredentialPassphrase; CredentialNoechoprompt;
  ];
  cb = List.map answer;
}

let connect uri =
  try Libvirt.Connect.connect_auth_readonly ?name:uri auth
  with Libvirt.Virterror error ->
    Failure.error (f_"could not connect to libvirt: %s") (words error)

let look_up connection name =
  try Libvirt.Domain.lookup_by_name connection name
  with Libvirt.Virterror by_name ->
    try Libvirt.Domain.lookup_by_uuid_string connection name
    with Libvirt.Virterror _ ->
      Failure.error (f_"no libvirt domain has this name or UUID: %s")
        (words by_name)

let is_running domain =
  match (Libvirt.Domain.get_info domain).state with
  | InfoNoState | InfoShutoff | InfoCrashed -> false
  | InfoRunning | InfoBlocked | InfoPaused | InfoShutdown | InfoPMSuspended ->
     true

let path_of_volume connection ~pool name =
  let pool = Libvirt.Pool.lookup_by_name connection pool in
  Libvirt.Volume.get_path
    (Libvirt.Volume.lookup_by_name (Libvirt.Pool.const pool) name)

let look ~writable { name; uri } =
  let connection = connect uri in
  Fun.protect ~finally:(fun () -> Libvirt.Connect.close connection) (fun () ->
    let domain = look_up connection name in
    if writable && is_running domain then
      Failure.error (f_"runs: its disks cannot be written as well");
    parse ~path_of_volume:(path_of_volume connection)
      (Libvirt.Domain.get_xml_desc domain))

let in_domain domain reason =
  sprintf (f_"domain %s: %s") (text domain) reason

let find ~writable domain =
  Failure.within (in_domain domain) (fun () ->
    match look ~writable domain with
    | { disks = []; _ } -> Failure.error (f_"has no disk")
    | found -> found
    | exception Libvirt.Virterror error -> Failure.error "%s" (words error))
