#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# LIBGUESTFS_BACKEND=libvirt, the default of some distributions: for root, qemu
# is started by a daemon and runs as a user who may read little.  The daemon is
# this test's own; whatever it keeps is in a mount namespace.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/mount.sh"
. "$top_srcdir/tests/lib/libvirtd.sh"
requires_tang
requires_appliance
requires_libvirtd
get_guests part-lvm

start_libvirtd part-lvm.img

# The process of qemu, which is no child of the tool.  The pattern does not
# match itself.
by_libvirt ()
{
  qemu=$(grep -lsa -e "$PWD/run-[^*]*overlay" /proc/[0-9]*/cmdline | head -n 1)
  qemu=${qemu//[^0-9]/}
  [ -n "$qemu" ]
}
not_by_libvirt ()
{
  ! by_libvirt
}

start_tang one
bind part-lvm root tang "$(tang_config one)"
clevis_key part-lvm root 1 expected
nbde --format=raw -a part-lvm.img --tang-allow 127.0.0.1 -i --output-keys keys
assert_status 0
assert_stdout_matches '^ +Hostname: +part-lvm\.example\.com$'
assert_same_file expected keys

# Killed, it leaves neither the mount nor qemu nor files.
run_mount --format=raw -a part-lvm.img --tang-allow 127.0.0.1
assert_status 0
assert_equal part-lvm.example.com "$(cat mnt/etc/hostname)" 'host name'
by_libvirt || fail 'where is qemu?'
assert_equal "$libvirt_user" "$(stat -c %U "/proc/$qemu")" 'user of qemu'
kill -KILL "$(cat pid)"
wait_for 30 not_by_libvirt || fail 'qemu is left behind'
wait_for 30 is_not_mounted || fail 'the mount is left behind'
assert_no_leftovers

# What libvirt 9.0 does not take.
printf %s 'of a disk' > passphrase
luks_file disk.img 6 "$(uuid_of disk.img)" passphrase --type luks1 ||
  fail 'cannot make disk.img'
chmod 644 disk.img
nbde --format=raw -a disk.img --list -v --appliance=always
if [ "$status" -eq 1 ]; then
  assert_stderr_matches 'error: the appliance did not start: .* libvirt: ..*'
  assert_stderr_has 'With LIBGUESTFS_BACKEND=direct,'
else
  # It is not bound.
  assert_status 3
  assert_stdout_matches '^/dev/sda: LUKS1'
fi
