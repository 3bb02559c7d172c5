(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The libguestfs appliance: disks, memory, network, launch and end.
 *)

open Printf

open Gettext

type foreseen = {
  all : bool;
  need : Memory.need option;
}

let unforeseen = { all = false; need = None }

type settings = {
  memsize : int option;
  foreseen : foreseen;
  smp : int option;
  network : bool;
  writable : bool;
  verbose : bool;
  trace : bool;
}

(* A folder for temporary files, ours and those of the programs that libguestfs
 * starts: nobody else removes the disk of the appliance that qemu makes, if it
 * is killed before it does.  For root, libvirt runs qemu as another user, who
 * must get to the files in it.
 *)
let make_folder (g : Guestfs.guestfs) =
  try
    let folder =
      Files.make_folder ~parent:(g#get_tmpdir ()) ~prefix:(Package.name ^ "-") in
    if Unix.geteuid () = 0 && Drives.by_libvirt g then Unix.chmod folder 0o711;
    folder
  with Unix.Unix_error (code, _, folder) -> Failure.of_code folder code

let remove_folder folder =
  Files.remove folder;
  try Unix.rmdir folder with
  | Unix.Unix_error (Unix.ENOENT, _, _) -> ()
  | Unix.Unix_error (code, _, _) ->
     Messages.warning (f_"%s cannot be removed: %s") folder
       (Unix.error_message code)

let extra_memsize = 1024

let default_memsize (g : Guestfs.guestfs) = g#get_memsize () + extra_memsize

let check_host_has need =
  match Memory.missing need ~available:(Memory.available ()) with
  | Some (message, hint) -> Failure.error ~hint "%s" message
  | None -> ()

let memsize (g : Guestfs.guestfs) { memsize; foreseen = { all; need }; _ } =
  let enough = if all then g#get_memsize () else default_memsize g in
  match memsize, need with
  | Some memsize, _ -> memsize
  | None, Some need when need.memsize > enough ->
     check_host_has need;
     Messages.message (f_"%s: starting with %d MiB") (Memory.reason need)
       need.memsize;
     need.memsize
  | None, _ -> enough

let configure (g : Guestfs.guestfs) settings =
  g#set_identifier Package.name;
  g#set_program Package.name;
  if settings.verbose then g#set_verbose true;
  if settings.trace then g#set_trace true;
  (* It would be a copy of this process, with its keys, for as long as the
   * appliance lives; the janitor does what it is for.
   *)
  g#set_recovery_proc false;
  g#set_network settings.network;
  (* What is written to an overlay need not reach it. *)
  g#set_autosync settings.writable;
  let memsize = memsize g settings in
  g#set_memsize memsize;
  Option.iter g#set_smp settings.smp;
  Progress.attach g;
  let warn _event _handle text _numbers =
    Messages.warning "libguestfs: %s" (String.trim text) in
  ignore (g#set_event_callback warn [Guestfs.EVENT_WARNING]);
  Messages.debug "appliance: %d MiB of memory, network %s" memsize
    (if settings.network then "on" else "off")

let no_launch_hint g =
  s_"libguestfs-test-tool(1) tells whether libguestfs works here at all.  A \
     remote disk that is LUKS version 1 from its first byte must be copied to a \
     file first."
  ^
  if Drives.by_libvirt g then
    "  " ^ s_"With LIBGUESTFS_BACKEND=direct, qemu is run without libvirt, which \
              takes no disk that is LUKS version 1 from its first byte."
  else ""

exception Kvm_fails

(* The handle has read it when it was made; the programs have not. *)
let folder_variable = "TMPDIR"

let launch (g : Guestfs.guestfs) folder =
  Messages.message (f_"Starting the appliance");
  Console.listening g @@ fun console ->
  try Process.with_variable folder_variable folder g#launch
  with Guestfs.Error message ->
    Signals.check ();
    if Kvm.is_to_blame g then raise Kvm_fails;
    let last =
      Option.fold ~none:"" ~some:(fun line -> ": " ^ line)
        (Console.last_line console) in
    Failure.error ~hint:(no_launch_hint g)
      (f_"the appliance did not start: %s%s (-v -x shows more)")
      (Guestfs_error.line message) last

let socket = "guestfsd.sock"

(* The socket of the appliance is in a folder of its own, made by libguestfs,
 * which does not tell: /proc/net/unix has lines "ADDRESS ... INODE PATH".
 *)
let socket_folders () =
  let ours = List.map snd (Mountpoint.descriptors ()) in
  let folder line =
    match List.rev (String.split_on_char ' ' line) with
    | path :: inode :: _
         when List.mem ("socket:[" ^ inode ^ "]") ours
              && Filename.basename path = socket ->
       Some (Filename.dirname path)
    | _ -> None in
  List.filter_map folder (Mountpoint.lines "/proc/net/unix")

(* libguestfs waits for the end of qemu only if it has a recovery process. *)
let wait_for_end pid =
  try Process.wait pid with
  | Unix.Unix_error (Unix.ECHILD, _, _) -> Unix.WEXITED 0

let child (g : Guestfs.guestfs) =
  try Some (g#get_pid ()) with Guestfs.Error _ -> None

let shutdown (g : Guestfs.guestfs) =
  let qemu = child g in
  g#shutdown ();
  match Option.map wait_for_end qemu with
  | None | Some (Unix.WEXITED 0) -> ()
  | Some (WEXITED status) ->
     raise (Guestfs.Error (sprintf (f_"qemu exited with status %d") status))
  | Some (WSIGNALED signal | WSTOPPED signal) ->
     raise (Guestfs.Error (sprintf (f_"qemu was ended by signal %d")
                             (Signals.number signal)))

exception Too_small of Memory.need
exception Other_device of string

let launched ~janitor ~lasting settings drives f =
  Signals.spare_children false;
  let g =
    try new Guestfs.guestfs ()
    with Guestfs.Error message ->
      Failure.error "%s" (Guestfs_error.line message) in
  let folder =
    try make_folder g
    with e ->
      g#close ();
      raise e in
  Janitor.remove janitor folder;
  Janitor.end_programs janitor ~socket
    { variable = folder_variable; value = folder };
  let qemu = ref None in
  (* To close the handle runs programs, which must be let live. *)
  let finally () =
    Signals.spare_children true;
    Timing.step Shutdown (fun () ->
      g#close ();
      ignore (Option.map wait_for_end !qemu));
    remove_folder folder in
  Fun.protect ~finally (fun () ->
    Timing.step Launch (fun () ->
      g#set_tmpdir (Some folder);
      (* A mount outlives ^C and the end of the terminal, and so must qemu. *)
      g#set_pgroup lasting;
      configure g settings;
      Drives.add g ~folder ~writable:settings.writable drives;
      Signals.check ();
      launch g folder;
      qemu := child g);
    List.iter (Janitor.remove janitor) (socket_folders ());
    f g)

let rec with_launched ~janitor ~lasting settings drives f =
  try launched ~janitor ~lasting settings drives f
  with
  | Kvm_fails ->
     Messages.warning
       (f_"KVM does not work on this machine, though there is %s: the \
           appliance is emulated, which is slower") Kvm.device;
     Messages.debug "to do so at once, set %s=%s" Kvm.variable Kvm.emulate;
     Process.with_variable Kvm.variable Kvm.emulate (fun () ->
       with_launched ~janitor ~lasting settings drives f)
  | Too_small need ->
     check_host_has need;
     Messages.message (f_"%s: starting again with %d MiB") (Memory.reason need)
       need.memsize;
     with_launched ~janitor ~lasting
       { settings with memsize = Some need.memsize } drives f
  | Other_device device ->
     Messages.warning
       (f_"%s is another device in the appliance than it was on the host: \
           starting again, to look there only") device;
     with_launched ~janitor ~lasting { settings with foreseen = unforeseen }
       drives f
