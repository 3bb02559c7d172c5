(* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *)

(** Does KVM work?  In a virtual machine, or a container, its device may be there
    and qemu fails all the same.  libguestfs, which only looks whether it may open
    the device, does not find that out. *)

val is_to_blame : Guestfs.guestfs -> bool
(** The appliance did not start: is it because of KVM?  That is: libguestfs ran
    qemu itself and took KVM, since the user has not said what to take, and qemu
    fails with it and works without.  Runs qemu for a moment. *)

val device : string

val variable : string
val emulate : string
(** This variable of the environment with this value makes libguestfs emulate. *)
