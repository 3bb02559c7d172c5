#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The same as test-disk-reach.sh where libvirt runs qemu, and finds out for itself
# what lies below a disk: a raw disk reaches nothing but itself.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/guests/hostile-disks.sh"
. "$top_srcdir/tests/lib/libvirtd.sh"
. "$top_srcdir/tests/lib/witness.sh"
requires_tang
requires_appliance
requires_libvirtd
requires inotifywait

start_blackhole nbd
piece victim.luks
cp victim.luks "$PWD/victim"
hostile_disks "$PWD/victim" "nbd://127.0.0.1:$TANG_PORT_nbd" ||
  fail 'the disks cannot be made'
chmod 644 "${hostile[@]}"

# What libvirt follows, if it is told to: a chain of two.
qemu-img create -q -f qcow2 -b "$PWD/victim" -F raw chain.img &&
  qemu-img create -q -f qcow2 -b chain.img -F qcow2 chain2.img ||
  fail 'no chain'
chmod 644 chain.img chain2.img victim

start_libvirtd victim
# libvirt 9.0 takes no disk that is LUKS version 1 from its first byte.
disks=()
for disk in "${hostile[@]}"; do
  [ "$disk" = hostile-luks.img ] || disks+=("$disk")
done
watch_files victim victim.data parent.vmdk

run_command "$top_builddir/nbde/guest/helper_drive_checksums" raw "${disks[@]}"
assert_status 0
sha256sum "${disks[@]}" > expected
assert_same_file expected "$out"
not_opened
assert_equal 0 "$(connections nbd)" 'connections to the server'

# A chain is read as it is, and the witness sees it.
run_command "$top_builddir/nbde/guest/helper_drive_checksums" qcow2 chain2.img
assert_status 0
assert_equal "$(sha256sum < victim | cut -c1-64)" "$(cut -c1-64 "$out")" \
  'what is read of a chain'
opened victim || fail 'inotify has not seen that a chain was read'
