(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What the steps hand to each other; types.mli has the drawing.
 *)

type source =
  | File of string
  | Remote of {
      protocol : string;
      server : string;
      username : string option;
      password : string option;
      path : string;
    }

type disk = {
  source : source;
  format : string option;
  blocksize : int option;
}

type domain = {
  name : string;
  uri : string option;
}

type guest =
  | Disks of disk list
  | Domain of domain

type kind =
  | Whole_disk
  | Partition
  | Md_array
  | Logical_volume
  | Mapped

type device = {
  name : string;
  kind : kind;
  size : int64;
  luks : Clevis.Luks.t;
  info : Clevis.Luks.info;
  detached : string option;
}

type refused = {
  name : string;
  kind : kind;
  error : Clevis.error;
}

type opener =
  | Given_key of Clevis.Key.t
  | Clevis_in_appliance

type state =
  | Untried
  | Unbound
  | Failed of Clevis.error list
  | Recovered of Clevis.Exchange.unlocked
  | Opened of { unlocked : Clevis.Exchange.unlocked; mapname : string }
  | Not_opened of {
      unlocked : Clevis.Exchange.unlocked;
      reason : string;
      hint : string option;
    }
  | Opened_otherwise of { opener : opener; mapname : string }
  | Failed_in_appliance of { reason : string }
  | Wrong_key of { reason : string; binding : Clevis.error list }

type outcome = {
  device : device;
  state : state;
}

type findings = {
  outcomes : outcome list;
  refused : refused list;
  sizes : (string * int64) list;
}

let is_bound device =
  List.exists (fun (token : Clevis.Luks.token) -> token.kind = "clevis")
    device.info.tokens

let mapname outcome =
  match outcome.state with
  | Opened { mapname; _ } | Opened_otherwise { mapname; _ } -> Some mapname
  | Untried | Unbound | Failed _ | Recovered _ | Not_opened _
  | Failed_in_appliance _ | Wrong_key _ -> None

let unlocked outcome =
  match outcome.state with
  | Recovered unlocked
  | Opened { unlocked; _ }
  | Not_opened { unlocked; _ } -> Some unlocked
  | Untried | Unbound | Failed _ | Opened_otherwise _ | Failed_in_appliance _
  | Wrong_key _ -> None

let key outcome =
  match outcome.state with
  | Opened_otherwise { opener = Given_key key; _ } -> Some key
  | _ ->
     Option.map (fun (u : Clevis.Exchange.unlocked) -> u.key)
       (unlocked outcome)

let error code name ?hint message =
  { Clevis.code; message; line = name ^ ": " ^ message; hint;
    device = Some name; token = None; keyslot = None; pin = None; url = None;
    mapped = None; address = None; http_status = None }

let plain_error ({ name; _ } : device) ?hint message =
  error Decrypt name ?hint message

let uuid_char = function
  | '0'..'9' | 'a'..'f' | 'A'..'F' | '-' -> true
  | _ -> false

let is_uuid text = String.length text = 36 && String.for_all uuid_char text
