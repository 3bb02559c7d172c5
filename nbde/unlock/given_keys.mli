(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Keys that the user has, for LUKS devices that no binding opens: [--key],
    [--keys-from-stdin] and the terminal. *)

type source =
  | Typed of string             (** on the command line *)
  | In_file of string
  | By_clevis                   (** what is done for every bound device *)

type selector = {
  id : string;                  (** name of a device, UUID, or ["all"] *)
  source : source;
}

val selector : string -> selector
(** [ID:key:PASSPHRASE], [ID:file:FILE] or [ID:clevis].  Raises
    {!Options.Error}, whose message does not repeat the words. *)

(** Where a key comes from if no selector matches. *)
type ask =
  | Terminal of { echo : bool } (** if there is one *)
  | Standard_input of { echo : bool } (** a line for each device *)

type t

val load : selector list -> ask -> t
(** Read the key files: all that is in them but one newline at the end.  Raises
    {!Failure.Error}. *)

val release : t -> unit
(** Wipe the keys of the selectors. *)

val hold : t -> Clevis.Key.t -> unit
(** Remember a key that was recovered or asked for, so that it is wiped whatever
    happens. *)

val release_held : t -> unit
(** Wipe these. *)

val for_device : Guestfs.guestfs -> t -> Types.device -> Clevis.Key.t list
(** Those whose selector matches, in order.  They belong to [t]. *)

val may_ask : t -> bool
(** Is there somebody or something to ask? *)

val ask : t -> Types.device -> Clevis.Key.t option
(** Ask for a key, which is not held yet.  Raises {!Failure.Error} if standard
    input cannot be read. *)

val were_asked : t -> bool
(** Was anything asked for, successfully or not? *)

val may_have : t -> Types.device -> bool
(** Could there be a key for this device?  What only {!for_device} can tell
    counts. *)
