#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Disk formats: a chain of qcow2 files, vmdk, vhdx, vdi and vpc, and raw with
# sectors of 4096 bytes, all in one run; each device is opened.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance

start_tang one
for format in qcow2 vmdk vhdx vdi vpc raw; do
  bound_piece $format.luks tang "$(tang_config one)"
  disk_of $format.img $format.luks
done

qemu-img create -q -f qcow2 -b qcow2.img -F raw middle.qcow2
qemu-img create -q -f qcow2 -b middle.qcow2 -F qcow2 disk.qcow2
for format in vmdk vhdx vdi vpc; do
  qemu-img convert -f raw -O $format $format.img disk.$format ||
    fail "cannot make $format"
done
# No partition table, which would count sectors.
printf %s 'of large sectors' > large
luks_file large.img 4 "$(uuid_of large)" large --sector-size 4096 \
  "${small_header[@]}" || fail 'cannot make large.img'
bind_luks large.img large tang "$(tang_config one)" || fail 'large.img'

disks=(disk.qcow2 disk.vmdk disk.vhdx disk.vdi disk.vpc large.img)
sha256sum "${disks[@]}" > sums
nbde -a disk.qcow2 --format=vmdk -a disk.vmdk --format=vhdx -a disk.vhdx \
  --format=vdi -a disk.vdi --format=vpc -a disk.vpc \
  --format=raw --blocksize=4096 -a large.img \
  --tang-allow 127.0.0.1 --check --list -i
assert_status 0
sha256sum --quiet -c sums || fail 'a disk was changed'
letters=(a b c d e)
for format in qcow2 vmdk vhdx vdi vpc; do
  assert_stdout_matches \
    "^/dev/sd${letters[0]}1 $(uuid_of $format.luks): token 0, keyslot 1"
  letters=("${letters[@]:1}")
done
assert_stdout_matches "^/dev/sdf $(uuid_of large): token 0, keyslot 1"
assert_stdout_matches '4096-byte sectors$'
assert_equal 6 "$(grep -c '^ *Opened as: ' "$out")" 'opened devices'
