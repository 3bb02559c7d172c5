(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Open devices in the appliance.
 *)

open Printf

open Gettext
open Plan
open Types

let rec write_all (g : Guestfs.guestfs) device offset data =
  let len = String.length data in
  let n = g#pwrite_device device data offset in
  if n < len then
    write_all g device (Int64.add offset (Int64.of_int n))
      (String.sub data n (len - n))

(* What needs more memory than the keyslot that fits, if the quick header is not
 * used.
 *)
let own_header_need { given_keys; _ } ~quick { device; state } =
  let until keyslots =
    if quick then None else Memory.need ~until:keyslots device in
  let by_given_key () =
    if Given_keys.may_have given_keys device then Memory.need device else None in
  match state with
  | _ when device.detached <> None -> None
  | Recovered { keyslot; _ } | Opened { unlocked = { keyslot; _ }; _ } ->
     until [keyslot]
  | Untried when is_bound device ->
     let keyslots (token : Clevis.Luks.token) =
       if token.kind = "clevis" then token.keyslots else [] in
     until (List.concat_map keyslots device.info.tokens)
  | Untried | Unbound | Failed _ | Failed_in_appliance _ -> by_given_key ()
  | Not_opened _ | Opened_otherwise _ | Wrong_key _ -> None

(* Opening with its own header takes the memory of its keyslots.  Nothing is
 * begun again once somebody was asked for a key, who should not be asked twice.
 *)
let check_memory (g : Guestfs.guestfs) plan need =
  match need with
  | Some (need : Memory.need) when need.memsize > g#get_memsize () ->
     if plan.may_restart && not (Given_keys.were_asked plan.given_keys) then
       raise (Appliance.Too_small need)
     else
       Messages.debug "%s, but the appliance has %d MiB" (Memory.reason need)
         (g#get_memsize ())
  | Some _ | None -> ()

let check_own_header g plan ~quick outcome =
  check_memory g plan (own_header_need plan ~quick outcome)

(* Where both versions of LUKS have the UUID. *)
let magic = "LUKS\xba\xbe"
let uuid_offset = 168
let sector = 512

(* Before something is written over a device that was read on the host: a header
 * whose place is taken by another device would destroy that.
 *)
let check_same (g : Guestfs.guestfs) { name; info = { uuid; _ }; _ } =
  let first = g#pread_device name sector 0L in
  let is_at offset text =
    String.length first >= offset + String.length text
    && String.sub first offset (String.length text) = text in
  if not (is_at 0 magic && is_at uuid_offset uuid) then
    raise (Appliance.Other_device name)

(* Put the quick header over the device, that is, into the overlay.  It only
 * saves time, so a header that does not allow it is no failure; nor is a device
 * that cannot be written to, such as a volume that is read-only.  If only a part
 * was written, the open says so.
 *)
let quicken g plan ~was_read_here (device : device) unlocked =
  let { Clevis.Exchange.key; keyslot; _ } = unlocked in
  let without message =
    Messages.debug "%s: opened with its own header: %s" device.name message;
    check_memory g plan (Memory.need ~until:[keyslot] device) in
  match
    if was_read_here then check_same g device;
    List.iter (fun (offset, data) -> write_all g device.name offset data)
      (Clevis.Luks.quicken device.luks ~key ~keyslot)
  with
  | () -> ()
  | exception Clevis.Error { message; _ } -> without message
  | exception Guestfs.Error message ->
     Signals.check ();
     g#ping_daemon ();
     without (Guestfs_error.line message)

(* Not readonly, although the guest's disk is never written: all writes go to
 * an overlay that ends with the appliance, and a journal that is not clean
 * must be replayed before its filesystem can be read.
 *)
let open_by key g (device : device) mapname =
  let pause seconds =
    Signals.check ();
    Messages.debug "%s: is in use in the appliance, tried again" device.name;
    Unix.sleepf seconds;
    Signals.check () in
  Busy.again ~pause (fun () ->
    Clevis.Key.open_device key g ~readonly:false ~device:device.name ~mapname)

let open_device g (device : device) mapname unlocked =
  Timing.step Open @@ fun () ->
  let { Clevis.Exchange.key; _ } = unlocked in
  Messages.message (f_"Opening %s") device.name;
  match open_by key g device mapname with
  | () -> Opened { unlocked; mapname }
  | exception Guestfs.Error message ->
     Signals.check ();
     let hint =
       s_"If memory is short: --list shows what the keyslots take, --memsize \
          gives the appliance more." in
     Not_opened { unlocked; reason = Guestfs_error.line message;
                  hint = Some hint }
  | exception Clevis.Error error ->
     Not_opened { unlocked; reason = error.message; hint = error.hint }

(* libguestfs has no function that takes a header apart from its device. *)
let not_opened_detached unlocked file =
  Not_opened {
    unlocked;
    reason = sprintf (f_"libguestfs cannot open a device whose header is \
                         detached (%s)") file;
    hint = Some (s_"Write the key with --output-keys, and open the device on \
                    a host with 'cryptsetup open --header'.");
  }

(* To try keyslots like those of clevis luks bind takes less time than to write a
 * header.
 *)
let recovered g plan ~quick ~was_read_here (device : device) mapname unlocked =
  Signals.check ();
  if quick && not (Clevis.Luks.is_quick device.luks) then
    Timing.step Open (fun () ->
      quicken g plan ~was_read_here device unlocked);
  open_device g device mapname unlocked

let by_clevis g ~taken (device : device) =
  Signals.check ();
  if not (is_bound device) then Unbound
  else if device.detached <> None then
    Failed_in_appliance { reason = s_"its header is detached" }
  else (
    let mapname = Map_name.choose ~taken device in
    Messages.message (f_"Opening %s by clevis in the appliance") device.name;
    match
      Timing.step Open (fun () ->
        Clevis.In_appliance.unlock g ~device:device.name ~mapname)
    with
    | () -> Opened_otherwise { opener = Clevis_in_appliance; mapname }
    | exception Guestfs.Error message ->
       Signals.check ();
       g#ping_daemon ();
       Failed_in_appliance { reason = Guestfs_error.line message }
  )

(* Try keys in turn.  Such a device is opened with its own header, as nobody
 * knows which keyslot a key is for.
 *)
let rec try_keys (g : Guestfs.guestfs) (device : device) mapname = function
  | [] -> Error (s_"there is no key")
  | key :: others ->
     Signals.check ();
     match Timing.step Open (fun () -> open_by key g device mapname) with
     | () -> Ok key
     | exception Guestfs.Error message ->
        Signals.check ();
        (* Is it the key or the appliance? *)
        g#ping_daemon ();
        if others = [] then Error (Guestfs_error.line message)
        else try_keys g device mapname others
     | exception Clevis.Error error ->
        if others = [] then Error error.message
        else try_keys g device mapname others

(* Those to be tried, and those of them that nothing else owns. *)
let keys_for g plan device =
  match Given_keys.for_device g plan.given_keys device with
  | [] ->
     let asked = Option.to_list (Given_keys.ask plan.given_keys device) in
     List.iter (Given_keys.hold plan.given_keys) asked;
     asked, asked
  | matching -> matching, []

(* Why the binding of a device did not open it. *)
let binding_errors outcome =
  match outcome.state with
  | Failed errors -> errors
  | Failed_in_appliance { reason } -> [plain_error outcome.device reason]
  | _ -> []

let is_closed outcome =
  match outcome.state with
  | Unbound | Failed _ | Failed_in_appliance _ -> outcome.device.detached = None
  | Untried | Recovered _ | Opened _ | Not_opened _ | Opened_otherwise _
  | Wrong_key _ -> false

let by_given_key g plan ~taken outcome =
  match
    if is_closed outcome then keys_for g plan outcome.device else [], []
  with
  | [], _ -> outcome
  | candidates, asked ->
     let { device; _ } = outcome in
     let mapname = Map_name.choose ~taken device in
     let binding = binding_errors outcome in
     Messages.message (f_"Opening %s by a key that was given") device.name;
     match try_keys g device mapname candidates with
     | Ok key ->
        List.iter
          (fun (e : Clevis.error) -> Messages.warning "%s" e.line) binding;
        { outcome with state = Opened_otherwise { opener = Given_key key;
                                                  mapname } }
     | Error reason ->
        List.iter Clevis.Key.release asked;
        { outcome with state = Wrong_key { reason; binding } }
