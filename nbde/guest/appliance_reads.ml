(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Block devices, read in the appliance.
 *)

(* Before a call of the appliance reads from a device it runs a process that
 * waits for udev, which takes longer than the reading.  So more is read than
 * is asked for: at first what has the metadata of nearly every LUKS device and
 * its keyslots 0 and 1, of which the latter is usually the bound one.
 *)
let first = 576 * 1024
let ahead = 1024 * 1024
let little = 16 * 1024

(* Is it the device or the appliance? *)
let on_device (g : Guestfs.guestfs) f =
  try f ()
  with Guestfs.Error message ->
    g#ping_daemon ();
    raise (Headers.Unreadable (Guestfs_error.line message))

let make (g : Guestfs.guestfs) =
  { Headers.size = (fun name -> on_device g (fun () ->
      g#blockdev_getsize64 name));
    read = (fun name ~offset ~length -> on_device g (fun () ->
      g#pread_device name length offset));
    describe = (fun name -> on_device g (fun () -> g#file name));
    first;
    little;
    ahead }
