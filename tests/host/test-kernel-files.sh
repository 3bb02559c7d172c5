#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A disk names a file of the kernel as its backing file, by a path at which /proc
# or /sys is mounted a second time: nothing is read from it.

. "$(dirname "$0")/../lib/functions.sh"
requires unshare qemu-img mount

if [ -z "${NBDE_MOUNTS-}" ]; then
  # As root without a user namespace, which may be forbidden.
  namespaces=(--mount)
  unshare "${namespaces[@]}" true 2>/dev/null ||
    namespaces+=(--user --map-root-user)
  unshare "${namespaces[@]}" true 2> "$err" ||
    skip "no mount namespaces: $(cat "$err")"
  NBDE_MOUNTS=1 exec unshare "${namespaces[@]}" "$0" "$@"
fi

mkdir proc sys
mount --bind /proc proc
mount --bind /sys sys

# A file of either that is not empty for stat.
of_sys=sys/class/net/lo/mtu
[ -s "$of_sys" ] || fail 'no file in sysfs'
of_proc=proc/kcore
[ -s "$of_proc" ] || of_proc=

qemu-img create -q -f qcow2 good.qcow2 1M
cp good.qcow2 plain.img
for file in "$of_sys" $of_proc plain.img; do
  cp good.qcow2 disk.qcow2
  qemu-img rebase -u -b "$PWD/$file" -F raw disk.qcow2
  nbde -a disk.qcow2 --list
  if [ "$file" = plain.img ]; then
    # A file of the same folder is followed.
    assert_status 3
  else
    assert_status 1
    assert_one_error ".*its backing file is '$PWD/$file', which is neither a file nor a block device"
  fi
done
