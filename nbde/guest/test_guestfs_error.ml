(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Errors of libguestfs 1.48, as it gave them.
 *)

let line name message expected =
  Testing.text name expected (Guestfs_error.line message)

let of_libvirt =
  "could not create appliance through libvirt.\n\
   \n\
   Try running qemu directly without libvirt using this environment variable:\n\
   export LIBGUESTFS_BACKEND=direct\n\
   \n\
   Original error from libvirt: Cannot access storage file '/a/overlay1.qcow2' \
   (as uid:64055, gid:64055): Permission denied [code=38 int1=13]"

let () =
  line "one line" "disk.img: No such file or directory"
    "disk.img: No such file or directory";
  line "nothing" "" "";
  line "advice follows"
    "guestfs_launch failed.\n\
     This usually means the libguestfs appliance failed to start or crashed.\n\
     Do:\n\
    \  export LIBGUESTFS_DEBUG=1 LIBGUESTFS_TRACE=1"
    "guestfs_launch failed";
  line "libvirt says why" of_libvirt
    "could not create appliance through libvirt: Cannot access storage file \
     '/a/overlay1.qcow2' (as uid:64055, gid:64055): Permission denied";
  line "libvirt cannot be reached"
    "could not connect to libvirt (URI = qemu:///system): Failed to connect \
     socket to '/a/socket': No such file or directory [code=38 int1=2]"
    "could not connect to libvirt (URI = qemu:///system): Failed to connect \
     socket to '/a/socket': No such file or directory";
  line "no message of libvirt" "a.\nb: c [code" "a";
  Testing.finish ()
