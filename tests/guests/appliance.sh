# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Chooses how libguestfs starts its appliance on this machine.  Sourced by
# whatever starts one: the builders of guests, the tests, quickstart.  What
# the user has set is left alone.
#
# shellcheck shell=bash

# libguestfs takes KVM wherever /dev/kvm can be opened, but in a virtual
# machine it may be there and not work: qemu aborts.  Ask qemu itself, with
# the processor model of libguestfs, and do without KVM if that fails.
kvm_works ()
{
  local qemu=qemu-system-x86_64
  command -v "$qemu" >/dev/null || return 1
  # In a subshell whose stderr is closed, since bash reports the abort.
  (ulimit -c 0
   timeout 10 "$qemu" -machine accel=kvm -cpu max -nodefaults \
     -no-user-config -display none -S -monitor stdio <<< quit) \
    >/dev/null 2>&1
}

choose_appliance ()
{
  export LIBGUESTFS_BACKEND="${LIBGUESTFS_BACKEND:-direct}"
  # Not TMPDIR, where each test would make an appliance of its own.
  export LIBGUESTFS_CACHEDIR="${LIBGUESTFS_CACHEDIR:-/var/tmp}"
  if [ -n "${LIBGUESTFS_BACKEND_SETTINGS+set}" ] ||
     [ "$LIBGUESTFS_BACKEND" != direct ] || [ ! -e /dev/kvm ]; then
    return 0
  fi
  # Where this user may not use it, libguestfs would warn.
  if [ ! -w /dev/kvm ] || ! { kvm_works; } 2>/dev/null; then
    export LIBGUESTFS_BACKEND_SETTINGS=force_tcg
  fi
}
