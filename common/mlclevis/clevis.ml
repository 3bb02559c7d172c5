(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * LUKS headers, Clevis bindings and the exchange with Tang servers: the OCaml
 * face of common/clevis.  The order of constructors and fields is known to
 * clevis-c.c.
 *)

type code =
  | System | Header | Token | Limit | Unsupported | Policy | Unreachable
  | Http | No_key | Reply | Decrypt | Passphrase | Threshold | Cancelled

type error = {
  code : code;
  message : string;
  line : string;
  hint : string option;
  device : string option;
  token : int option;
  keyslot : int option;
  pin : string option;
  url : string option;
  mapped : string option;
  address : string option;
  http_status : int option;
}

exception Error of error

let () =
  let example = {
    code = System; message = ""; line = ""; hint = None; device = None;
    token = None; keyslot = None; pin = None; url = None; mapped = None;
    address = None; http_status = None;
  } in
  Callback.register_exception "clevis_error" (Error example);
  (* libguestfs has registered it, too, but not always by the same name. *)
  Callback.register_exception "clevis_guestfs_error" (Guestfs.Error "");
  Printexc.register_printer (
    function
    | Error { line; _ } -> Some ("Clevis.Error: " ^ line)
    | _ -> None
  )

external code_name : code -> string = "nbde_clevis_code_name"
type wall = {
  system_calls : bool;
  files : bool;
  memory : bool;
}

external init : unit -> unit = "nbde_clevis_init"
external wall : unit -> wall = "nbde_clevis_wall"
external end_vault : unit -> unit = "nbde_clevis_end"

type memory = {
  used : int;
  was_short : bool;
  is_busy : bool;
}

external memory : unit -> memory = "nbde_clevis_memory"

(* The garbage collector must not take v before this. *)
let keep_alive v = ignore (Sys.opaque_identity v)

module Memfile = struct
  external create : unit -> Unix.file_descr = "nbde_memfile_create"
  external seal : Unix.file_descr -> unit = "nbde_memfile_seal"
end

module Key = struct
  type t

  external read : Unix.file_descr -> t = "nbde_key_read"
  external read_line : Unix.file_descr -> echo:bool -> t option
    = "nbde_key_read_line"
  external chomp : t -> unit = "nbde_key_chomp"

  let of_string text =
    let fd = Memfile.create () in
    Fun.protect ~finally:(fun () -> Unix.close fd) (fun () ->
      let n = Unix.write_substring fd text 0 (String.length text) in
      assert (n = String.length text);
      ignore (Unix.lseek fd 0 Unix.SEEK_SET);
      read fd)

  external release : t -> unit = "nbde_key_release"
  external write : t -> Unix.file_descr -> unit = "nbde_key_write"
  external write_base64 : t -> Unix.file_descr -> unit
    = "nbde_key_write_base64"
  external has_byte : t -> char -> bool = "nbde_key_has_byte"
  external length : t -> int = "nbde_key_length"
  external equal : t -> t -> bool = "nbde_key_equal"

  external open_on :
    int64 -> t -> bool -> string -> string -> unit = "nbde_key_open_device"

  let open_device key (g : Guestfs.guestfs) ~readonly ~device ~mapname =
    open_on (g#c_pointer ()) key readonly device mapname;
    keep_alive g
end

module In_appliance = struct
  external is_known : unit -> bool = "nbde_in_appliance_is_known"
  external unlock_on : int64 -> string -> string -> unit
    = "nbde_in_appliance_unlock"

  let unlock (g : Guestfs.guestfs) ~device ~mapname =
    unlock_on (g#c_pointer ()) device mapname;
    keep_alive g
end

module Luks = struct
  type t

  type next =
    | Need of { offset : int64; length : int }
    | Ready
    | Not_luks

  type keyslot = {
    slot : int;
    kdf : string;
    hash : string option;
    iterations : int;
    memory : int;
    threads : int;
    cipher : string;
    key_size : int;
    priority : string;
    refused : string option;
  }

  type pin = {
    name : string;
    path : string;
    threshold : int;
    children : pin list;
    url : string option;
    kid : string option;
    thp_alg : string option;
    curve : string option;
    params : (string * string) list;
    warning : string option;
    unusable : error option;
  }

  type token = {
    id : int;
    kind : string;
    keyslots : int list;
    pin : pin option;
    stale : string option;
    broken : error option;
  }

  type info = {
    version : int;
    uuid : string;
    label : string;
    cipher : string;
    key_size : int;
    sector_size : int;
    data_offset : int64;
    note : string option;
    keyslots : keyslot list;
    tokens : token list;
  }

  external create : device:string -> size:int64 -> t = "nbde_luks_create"
  external release : t -> unit = "nbde_luks_release"
  external next : t -> next = "nbde_luks_next"
  external supply : t -> offset:int64 -> string -> unit = "nbde_luks_supply"
  external info : t -> info = "nbde_luks_info"
  external is_quick : t -> bool = "nbde_luks_is_quick"
  external quicken :
    t -> key:Key.t -> keyslot:int -> (int64 * string) list
    = "nbde_luks_quicken"

  type data_extent = {
    start : int64;
    length : int64;
    sector : int;
  }

  external data_extent : t -> data_extent = "nbde_luks_data_extent"
  external unlock : t -> key:Key.t -> keyslot:int -> unit
    = "nbde_luks_unlock"
  external decrypt : t -> offset:int64 -> string -> string
    = "nbde_luks_decrypt"
end

module Policy = struct
  type t

  external create : unit -> t = "nbde_policy_create"
  external release : t -> unit = "nbde_policy_release"
  external allow : t -> string -> unit = "nbde_policy_allow"
  external set_timeout_ms : t -> int -> unit = "nbde_policy_set_timeout"

  let milliseconds seconds = max 1 (int_of_float (ceil (seconds *. 1000.)))

  let set_timeout policy seconds =
    set_timeout_ms policy (milliseconds seconds)

  external map : t -> string -> unit = "nbde_policy_map"
  external resolve : t -> string -> unit = "nbde_policy_resolve"

  (* clevis-policy-c.c knows the order of these. *)
  type number = Connect_timeout | Deadline | Retries | Parallel
  type text = Proxy | No_proxy | Cacert | Cert | Key

  external set_number : t -> number -> int -> unit = "nbde_policy_set_number"
  external set_text : t -> text -> string -> unit = "nbde_policy_set_text"

  let set_connect_timeout policy seconds =
    set_number policy Connect_timeout (milliseconds seconds)
  let set_deadline policy seconds =
    set_number policy Deadline (milliseconds seconds)
  let set_retries policy n = set_number policy Retries n
  let set_parallel policy n = set_number policy Parallel n
  let set_proxy policy url = set_text policy Proxy url
  let set_no_proxy policy list = set_text policy No_proxy list
  let set_cacert policy file = set_text policy Cacert file
  let set_cert policy file = set_text policy Cert file
  let set_key policy file = set_text policy Key file

  external set_share : t -> string -> unit = "nbde_policy_set_share"
  external set_keydir : t -> string -> unit = "nbde_policy_set_keydir"
  external collect_requests : t -> unit = "nbde_policy_collect_requests"
  external use_replies :
    t -> state:string -> replies:string -> unit = "nbde_policy_use_replies"
  external nr_requests : t -> int = "nbde_policy_nr_requests"
  external dump : t -> bool -> string -> Unix.file_descr -> unit
    = "nbde_policy_dump"

  let dump_requests policy ~name fd = dump policy false name fd
  let dump_state policy ~name fd = dump policy true name fd
end

(* What exchanges and preflights have in common. *)
module Run = struct
  type t

  external add : t -> Luks.t -> unit = "nbde_run_add"
  external step : t -> int -> bool = "nbde_run_step"
  external free : t -> unit = "nbde_run_free"

  let step_ms = 250

  let all ?(tick = fun () -> ()) ~create ~result ~borrowed lukses =
    let run = create () in
    let rec loop () =
      if step run step_ms then (
        tick ();
        loop ()
      ) in
    (* The policy and the headers are borrowed until it is freed. *)
    let finally () =
      free run;
      keep_alive (borrowed, lukses) in
    Fun.protect ~finally (fun () ->
      List.iter (add run) lukses;
      loop ();
      List.mapi (fun i _ -> result run i) lukses)
end

module Exchange = struct
  type leaf = {
    token : int;
    pin : string;
    url : string option;
    address : string option;
    seconds : float;
    answered : bool;
    error : error option;
  }

  type unlocked = {
    key : Key.t;
    keyslot : int;
    token : int;
    servers : string list;
    seconds : float;
    verify_seconds : float;
  }

  type status =
    | Unlocked of unlocked
    | Failed of error list
    | Unbound

  type result = {
    status : status;
    leaves : leaf list;
    warnings : string list;
  }

  external create : Policy.t -> Run.t = "nbde_exchange_create"
  external result : Run.t -> int -> result = "nbde_exchange_result"

  let run ?tick policy lukses =
    let create () = create policy in
    Run.all ?tick ~create ~result ~borrowed:policy lukses
end

module Preflight = struct
  type key =
    | Unknown | Advertised | Rotated | Unadvertised | Gone | Local

  type verdict = Closed | No_spare | Opens | Unbound

  type leaf = {
    token : int;
    pin : string;
    key : key;
    signatures : bool;
    seconds : float;
    address : string option;
    certificate_expiry : string option;
    error : error option;
  }

  type result = {
    verdict : verdict;
    leaves : leaf list;
  }

  external create : Policy.t -> bool -> Run.t = "nbde_preflight_create"
  external result : Run.t -> int -> result = "nbde_preflight_result"

  let run ?tick ~probe policy lukses =
    let create () = create policy probe in
    Run.all ?tick ~create ~result ~borrowed:policy lukses
end
