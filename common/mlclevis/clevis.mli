(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** LUKS headers, Clevis bindings and the exchange with Tang servers: the
    OCaml face of [common/clevis].

    No key is ever an OCaml value: {!Key.t} is a handle on locked C memory,
    and what can be done with a key is done in C. *)

(** What kind of failure an error is; the names are those of
    [clevis_code_name]. *)
type code =
  | System | Header | Token | Limit | Unsupported | Policy | Unreachable
  | Http | No_key | Reply | Decrypt | Passphrase | Threshold | Cancelled

type error = {
  code : code;
  message : string;             (** the cause, without context *)
  line : string;                (** context and cause on one line, escaped *)
  hint : string option;         (** what to try, a full sentence *)
  device : string option;
  token : int option;
  keyslot : int option;
  pin : string option;          (** path in the pin tree: [sss[1].tang] *)
  url : string option;          (** of the server, as in the token *)
  mapped : string option;       (** that the user maps it to, which was asked *)
  address : string option;      (** that was connected to *)
  http_status : int option;
}

exception Error of error

val code_name : code -> string
(** Stable name for programs: ["unreachable"], ["no-key"], ... *)

val init : unit -> unit
(** Make the vault: the process that reads headers and replies, and has the keys.
    To be called before anything is read.  An earlier vault is ended. *)

(** What stands of the wall around it. *)
type wall = {
  system_calls : bool;          (** it may make no others than it needs *)
  files : bool;                 (** it can open none *)
  memory : bool;                (** that of keys is locked *)
}

val wall : unit -> wall
(** What is not [true] the system did not allow (keys are wiped all the same).
    Waits until the vault is there, which takes some milliseconds. *)

val end_vault : unit -> unit
(** End the vault with all keys; nothing here can be used any more. *)

type memory = {
  used : int;                   (** bytes of locked memory that keys have *)
  was_short : bool;
  (** there was a time when no more could be locked: keys were then in other
      memory, and wiped there *)
  is_busy : bool;
  (** a key is still being derived for an exchange that has ended; that cannot be
      interrupted, and ends with the vault at the latest *)
}

val memory : unit -> memory
(** [used] is 0 when all that holds keys was released ({!Key.release},
    {!Luks.release}, {!Policy.release}). *)

(** Passphrases and keys in locked memory, wiped when released. *)
module Key : sig
  type t

  val read : Unix.file_descr -> t
  (** All bytes up to the end of a file or pipe, as they are.  Raises
      [Unix.Unix_error], or {!Error} ([Limit]) if there are more than a
      passphrase can have (8 MiB in a key file of cryptsetup). *)

  val read_line : Unix.file_descr -> echo:bool -> t option
  (** One line without its newline, and no byte beyond it; [None] at the end of
      the input.  Without [echo], a terminal does not show what is typed.
      Raises as {!read} does; [Unix.Unix_error (EINTR, _, _)] on a signal. *)

  val of_string : string -> t
  (** For a key of the command line, which is no secret to other processes
      anyway. *)

  val chomp : t -> unit
  (** Remove one newline from the end, if there is one. *)

  val release : t -> unit
  (** Wipe now, not when the garbage collector comes by.  Using the key later
      raises [Invalid_argument]. *)

  val open_device :
    t -> Guestfs.guestfs -> readonly:bool -> device:string ->
    mapname:string -> unit
  (** [guestfs_cryptsetup_open].  Raises [Guestfs.Error]. *)

  val write : t -> Unix.file_descr -> unit
  (** Write the bytes of the key, and nothing else.
      Raises [Unix.Unix_error]. *)

  val write_base64 : t -> Unix.file_descr -> unit
  (** The same in base64 (RFC 4648, section 4), encoded in locked memory. *)

  val has_byte : t -> char -> bool
  (** Is this byte in the key?  (A newline or NUL cannot be written in every
      format.) *)

  val length : t -> int
  (** In bytes. *)

  val equal : t -> t -> bool
end

(** Files in memory that other programs read keys from. *)
module Memfile : sig
  val create : unit -> Unix.file_descr
  (** Empty, and not inherited by other programs.  Raises
      [Unix.Unix_error]. *)

  val seal : Unix.file_descr -> unit
  (** Nobody can change it any more; reading begins at its start.  Raises
      [Unix.Unix_error]. *)
end

(** Clevis in the appliance, for libguestfs that has it. *)
module In_appliance : sig
  val is_known : unit -> bool
  (** Had libguestfs the function when this program was built? *)

  val unlock : Guestfs.guestfs -> device:string -> mapname:string -> unit
  (** [guestfs_clevis_luks_unlock].  Raises [Guestfs.Error]. *)
end

(** The header of one device. *)
module Luks : sig
  type t

  type next =
    | Need of { offset : int64; length : int }
      (** fetch these bytes of the device and {!supply} them *)
    | Ready
    | Not_luks

  val create : device:string -> size:int64 -> t

  val release : t -> unit
  (** Wipe the volume key, if verification has kept it, and free the rest.  No
      other function takes it afterwards: that raises [Invalid_argument]. *)

  val next : t -> next
  (** Raises {!Error} if the header is damaged or refused. *)

  val supply : t -> offset:int64 -> string -> unit

  type keyslot = {
    slot : int;
    kdf : string;               (** ["pbkdf2"], ["argon2i"], ["argon2id"] *)
    hash : string option;
    iterations : int;
    memory : int;               (** KiB *)
    threads : int;
    cipher : string;
    key_size : int;             (** bytes *)
    priority : string;
    refused : string option;
  }

  type pin = {
    name : string;              (** ["tang"], ["sss"], ["tpm2"], ... *)
    path : string;
    threshold : int;            (** of an sss pin, else 0 *)
    children : pin list;
    url : string option;
    kid : string option;
    thp_alg : string option;
    curve : string option;
    params : (string * string) list;
    warning : string option;
    unusable : error option;    (** why this host cannot answer it *)
  }

  type token = {
    id : int;
    kind : string;              (** ["clevis"], ["systemd-tpm2"], ... *)
    keyslots : int list;
    pin : pin option;           (** of a Clevis token that can be read *)
    stale : string option;
    broken : error option;      (** why a Clevis token cannot be read *)
  }

  type info = {
    version : int;
    uuid : string;
    label : string;
    cipher : string;
    key_size : int;             (** bytes *)
    sector_size : int;          (** bytes *)
    data_offset : int64;        (** bytes from the start of the device *)
    note : string option;
    keyslots : keyslot list;
    tokens : token list;
  }

  val info : t -> info
  (** Only after {!next} said [Ready]. *)

  val is_quick : t -> bool
  (** Is every keyslot cheap, and the digest, so that a quick header would save
      nothing?  Only after {!next} said [Ready]. *)

  val quicken : t -> key:Key.t -> keyslot:int -> (int64 * string) list
  (** The quick header: what to write where (in bytes) over a copy of the
      device, so that [key], which was verified against [keyslot], opens it
      first and cheaply.  Raises {!Error} if this header does not allow it; the
      device can then be opened as it is.  The header is of no use
      afterwards. *)

  (** Where the data are, encrypted: byte [n] of the opened device is at
      [start + n] of the device. *)
  type data_extent = {
    start : int64;              (** bytes from the start of the device *)
    length : int64;
    (** bytes of the opened device; not 0, and no more than the device has behind
        [start] *)
    sector : int;
    (** bytes: what is decrypted begins and ends with a multiple of these; a
        power of two from 512 to 4096 *)
  }

  val data_extent : t -> data_extent
  (** Only after {!next} said [Ready]; no key is needed.  Raises {!Error}:
      [Unsupported] if what is inside cannot be decrypted here (another cipher
      than AES in XTS or CBC, integrity protection, more than one segment), so
      that somebody else has to look; [Header] if the data would end behind the
      device. *)

  val unlock : t -> key:Key.t -> keyslot:int -> unit
  (** Before {!decrypt}.  [key] was verified against [keyslot] in an exchange.
      Takes some milliseconds at most.  The volume key is then in the vault until
      {!release}.

      If the vault dies, {!decrypt} has it make the volume key once more, and
      [key] is recovered again for that, as {!quicken} does it; not if [key] was
      released meanwhile.

      Raises {!Error}: [Header] if the keyslot is dear and was not verified, or
      does not exist; [Passphrase]; [System]. *)

  val decrypt : t -> offset:int64 -> string -> string
  (** What is inside: [decrypt luks ~offset data] is the plaintext of [data],
      which are the bytes of the device from [start + offset] on; whole sectors,
      at most 1 MiB, within [length].  Half a MiB takes half a millisecond.
      Not after {!quicken}.

      Raises {!Error}: those of {!data_extent} and {!unlock}; [Limit] if [data]
      are not whole sectors within the data, or too many; [System], also if
      {!unlock} was not called. *)
end

(** Which servers may be asked, and how long. *)
module Policy : sig
  type t

  val create : unit -> t

  val release : t -> unit
  (** Wipe the keys that it has, those of {!set_keydir} and {!use_replies} and
      the ephemeral ones of {!collect_requests}, and free the rest.  No other
      function takes it afterwards: that raises [Invalid_argument]. *)

  val allow : t -> string -> unit
  (** Raises {!Error} if the pattern cannot be parsed. *)

  val set_timeout : t -> float -> unit
  (** Seconds for one request. *)

  val map : t -> string -> unit
  (** ["FROM=TO"]: ask another server.  Raises {!Error} if it cannot be
      parsed. *)

  val resolve : t -> string -> unit
  (** ["HOST:PORT:ADDRESS"].  Raises {!Error} if it cannot be parsed. *)

  val set_connect_timeout : t -> float -> unit
  (** Seconds of a request until the connection stands. *)

  val set_deadline : t -> float -> unit
  (** Seconds for the whole exchange. *)

  val set_retries : t -> int -> unit
  (** Further tries of a request that failed for the moment. *)

  val set_parallel : t -> int -> unit
  (** Requests to one server at a time. *)

  val set_share : t -> string -> unit
  (** Spare servers together with other processes that name the same folder,
      which is made if it is not there.  Raises {!Error} if it cannot be used. *)

  val set_proxy : t -> string -> unit
  (** URL of a proxy, instead of those of the environment. *)

  val set_no_proxy : t -> string -> unit
  (** Servers that are asked without a proxy, as in the environment variable
      [no_proxy]; ["*"]: all. *)

  val set_cacert : t -> string -> unit
  (** PEM file of the CAs to trust, instead of those of the system. *)

  val set_cert : t -> string -> unit
  (** PEM file of a client certificate, and its key unless {!set_key} says
      where that is. *)

  val set_key : t -> string -> unit

  val set_keydir : t -> string -> unit
  (** Read the keys of a Tang server and ask nobody.  Raises {!Error}. *)

  val collect_requests : t -> unit
  (** Ask nobody: exchanges under this policy only collect their requests,
      each of which ends in the error [Cancelled] once it was collected. *)

  val nr_requests : t -> int
  (** Collected so far. *)

  val dump_requests : t -> name:string -> Unix.file_descr -> unit
  (** Write what was collected to a file; its name is for messages.  Raises
      {!Error}. *)

  val dump_state : t -> name:string -> Unix.file_descr -> unit
  (** The same for what is needed to use the replies: ephemeral private keys. *)

  val use_replies : t -> state:string -> replies:string -> unit
  (** Ask nobody: take the answers from a file of replies to what was
      collected before.  Raises {!Error}. *)
end

(** Ask the servers of all bindings of all devices at once. *)
module Exchange : sig
  (** How one leaf of a pin tree ended. *)
  type leaf = {
    token : int;
    pin : string;
    url : string option;
    address : string option;
    seconds : float;
    answered : bool;
    error : error option;       (** [None] if answered or not needed *)
  }

  type unlocked = {
    key : Key.t;
    keyslot : int;
    token : int;
    servers : string list;      (** URLs whose answers made the key *)
    seconds : float;            (** from the start of the exchange *)
    verify_seconds : float;     (** of them, in the keyslot's KDF *)
  }

  type status =
    | Unlocked of unlocked
    | Failed of error list
        (** one for each binding and each leaf that failed, as they should be
            shown; the first is the summary, whose code decides *)
    | Unbound                   (** no Clevis binding *)

  type result = {
    status : status;
    leaves : leaf list;
    warnings : string list;
  }

  val run : ?tick:(unit -> unit) -> Policy.t -> Luks.t list -> result list
  (** Run to the end, one result for each device in order.  Signals are handled
      while it waits.  [tick] is called about four times a second, for
      progress. *)
end

(** Find out which servers would answer; unlock nothing. *)
module Preflight : sig
  type key =
    | Unknown                   (** no answer; the error says why *)
    | Advertised
    | Rotated                   (** not advertised, but answered with *)
    | Unadvertised              (** and was not asked further *)
    | Gone                      (** the server does not have it *)
    | Local                     (** no server is needed *)

  type verdict =
    | Closed                    (** does not open *)
    | No_spare                  (** opens, unless one more server fails *)
    | Opens
    | Unbound                   (** no Clevis binding *)

  (** A leaf of a pin tree. *)
  type leaf = {
    token : int;
    pin : string;               (** its path *)
    key : key;
    signatures : bool;          (** those of the advertisement are good *)
    seconds : float;            (** until the advertisement came *)
    address : string option;
    certificate_expiry : string option;
    error : error option;
  }

  type result = {
    verdict : verdict;
    leaves : leaf list;
  }

  val run :
    ?tick:(unit -> unit) -> probe:bool -> Policy.t -> Luks.t list ->
    result list
  (** One result for each device in order.  [probe]: post a random point to
      servers that do not advertise the key.  Otherwise as
      {!Exchange.run}. *)
end
