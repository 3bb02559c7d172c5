(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * --mount: the guest's filesystems on a folder of this host, by FUSE.
 *)

open Gettext

type settings = {
  directory : string;
  writable : bool;
  places : Filesystems.place list;
  fuse_options : string list;
  fork : bool;
  pid_file : string option;
}

type session = {
  settings : settings;          (** all paths are absolute *)
  background : Background.t option;
  janitor : Janitor.t;
}

type start =
  | Front of int
  | Session of session

let janitor session = session.janitor

(* libfuse says less, and only after a launch. *)
let check_directory name =
  (try
     let directory = Unix.realpath name in
     if (Unix.stat directory).st_kind <> Unix.S_DIR then
       Failure.error (f_"%s: is not a directory") name;
     if Sys.readdir directory <> [| |] then
       Failure.error (f_"%s: is not empty") name;
     Unix.access directory [Unix.W_OK; Unix.X_OK];
     directory
   with
   | Unix.Unix_error (code, _, _) -> Failure.of_code name code
   | Sys_error message -> Failure.error "%s" message)

let fuse_device = "/dev/fuse"

let check_fuse () =
  match Unix.openfile fuse_device [Unix.O_RDWR; Unix.O_CLOEXEC] 0 with
  | device -> Unix.close device
  | exception Unix.Unix_error (code, _, _) ->
     Failure.of_code fuse_device code
       ~hint:(s_"FUSE is needed to mount: is the kernel's module fuse loaded \
                 (modprobe fuse)?")

let check settings =
  let directory = check_directory settings.directory in
  check_fuse ();
  let pid_file = Option.map Files.absolute settings.pid_file in
  Option.iter Pidfile.check pid_file;
  { settings with directory; pid_file }

let session settings background =
  Session { settings; background; janitor = Janitor.start () }

let start settings =
  let settings = check settings in
  if not settings.fork then session settings None
  else
    match Background.start () with
    | Back background -> session settings (Some background)
    | Front (Ready status | Exited status) -> Front status
    | Front (Interrupted signal) -> raise (Signals.Interrupted signal)
    | Front Died ->
       Signals.check ();
       Failure.error (f_"the process in the background was killed")

let mount { settings = { places; writable; directory; _ }; _ } g findings =
  Messages.message (f_"Mounting the guest on %s") directory;
  let places =
    if places = [] then Filesystems.of_guest g findings else places in
  Filesystems.mount g ~writable places

let write_pid_file { janitor; _ } file =
  let pid = Unix.getpid () in
  Janitor.remove_pid_file janitor file pid;
  Pidfile.write ~made:(Janitor.remove janitor) file pid

let fuse_options settings =
  (* The guest's set-user-ID programs and devices are not this host's.  The
   * user's options come later and count.
   *)
  String.concat ","
    (["nosuid"; "nodev"; "fsname=" ^ Package.name] @ settings.fuse_options)

let lost = s_"What was written last may be lost."

(* The loop of libfuse, until somebody or something ends the mount. *)
let loop (g : Guestfs.guestfs) =
  match g#mount_local_run () with
  | () -> None
  | exception Guestfs.Error message -> Some message

(* Has the appliance all that was written, and the disk all that it has? *)
let close (g : Guestfs.guestfs) ~writable =
  (match g#ping_daemon () with
   | () -> ()
   | exception Guestfs.Error message ->
      Failure.error ?hint:(if writable then Some lost else None)
        (f_"the appliance has died: %s") (Guestfs_error.line message));
  try
    if writable then (
      g#sync ();
      g#umount_all ()
    );
    Appliance.shutdown g
  with Guestfs.Error message ->
    Failure.error ?hint:(if writable then Some lost else None)
      (f_"the appliance did not end well: %s") (Guestfs_error.line message)

let run_mount session g ~before ~status =
  let { settings = { directory; pid_file; _ }; background; janitor } =
    session in
  let finally () =
    Mountpoint.ended ();
    Mountpoint.detach directory ~before;
    Janitor.unmounted janitor in
  Fun.protect ~finally (fun () ->
    (* The appliance must live on after a signal, to write what it has. *)
    Signals.spare_children true;
    Mountpoint.end_on_signal directory
      ~child:(Option.value (Appliance.child g) ~default:0);
    Option.iter (write_pid_file session) pid_file;
    Option.iter (Background.ready ~status) background;
    loop g)

let serve session (g : Guestfs.guestfs) ~status =
  let { settings = { directory; writable; _ } as settings; janitor; _ } =
    session in
  let before = Mountpoint.topmost directory in
  Janitor.unmount janitor directory ~before;
  g#mount_local ~readonly:(not writable) ~options:(fuse_options settings)
    directory;
  let error = run_mount session g ~before ~status in
  let by_signal = Signals.received () <> None in
  Signals.forget ();
  close g ~writable;
  match error with
  | Some message when not by_signal ->
     Failure.error (f_"the mount has failed: %s")
       (Guestfs_error.line message)
  | Some _ | None -> ()

let finish { settings = { pid_file; _ }; janitor; _ } =
  Option.iter (fun file -> Pidfile.remove file (Unix.getpid ())) pid_file;
  Janitor.finish janitor
