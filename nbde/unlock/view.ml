(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Whether the host's view of the disks is enough, or an appliance has to be
 * launched, and when.
 *)

open Gettext

type looks =
  | Auto
  | Always
  | Never

type t = {
  g : Guestfs.guestfs option;
  reason : string option;
  find : unit -> Types.findings;
}

type settings = {
  looks : looks;
  needed : string option;
  appliance : Appliance.settings;
}

(* What is the same for all ways. *)
type work = {
  settings : settings;
  janitor : Janitor.t;
  lasting : bool;
  drives : Drives.t;
  plan : Plan.t;
}

(* The first look of the host. *)
let look_here { settings; drives; plan; _ } =
  match settings.looks, plan.place with
  | Always, _ -> Error "--appliance=always"
  | _, In_appliance -> Error "--exchange=appliance"
  | (Auto | Never), On_host ->
     Messages.message (f_"Searching for LUKS devices");
     match Host.make drives with
     | exception Drives.Unsure reason -> Error reason
     | host ->
        try Ok (host, Unlock.search host plan)
        with e ->
          Host.close host;
          raise e

let forbid reason =
  Failure.error
    ~hint:(s_"With --appliance=auto it is launched where it is needed.")
    (f_"the appliance is needed, which --appliance=never forbids: %s") reason

let finish_here { plan; _ } (host, search) =
  Fun.protect ~finally:(fun () -> Host.close host) (fun () ->
    Unlock.on_host host plan search)

let in_appliance { settings; janitor; lasting; drives; plan } ~reason ~foreseen
      known f =
  (* Whatever is begun anew knows nothing. *)
  let known = ref known in
  let find g () =
    let now = !known in
    known := (fun () -> Unlock.nothing_known reason);
    Unlock.in_appliance g plan (now ()) in
  Messages.debug "the appliance is launched: %s" reason;
  Appliance.with_launched ~janitor ~lasting
    { settings.appliance with foreseen } drives
    (fun g -> f { g = Some g; reason = Some reason; find = find g })

(* The host goes on while the appliance is launched. *)
let together work ~reason ((_, search) as looked) f =
  let foreseen = Unlock.memory_foreseen work.plan search in
  let others = Beside.start (fun () -> finish_here work looked) in
  let known () = Beside.result others ~step:Exchange ~from:Launch in
  Fun.protect ~finally:(fun () -> Beside.stop others) (fun () ->
    in_appliance work ~reason ~foreseen known f)

(* The host first, and the appliance only if that is not enough. *)
let one_by_one ({ settings; plan; _ } as work) looked f =
  let known = finish_here work looked in
  match Unlock.doubt known with
  | None ->
     f { g = None; reason = None;
         find = (fun () -> Unlock.findings plan known) }
  | Some reason ->
     if settings.looks = Never then forbid reason;
     in_appliance work ~reason ~foreseen:(Unlock.memory_need plan known)
       (fun () -> known) f

let with_view settings janitor ~lasting drives plan f =
  let work = { settings; janitor; lasting; drives; plan } in
  match look_here work, settings.needed with
  | Error reason, _ ->
     if settings.looks = Never then forbid reason;
     in_appliance work ~reason ~foreseen:Appliance.unforeseen
       (fun () -> Unlock.nothing_known reason) f
  | Ok looked, Some reason -> together work ~reason looked f
  | Ok looked, None -> one_by_one work looked f
