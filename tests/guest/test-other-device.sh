#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What the host has read is not written over another device: if the appliance has
# one by the same name, as where the disk was changed meanwhile, nothing is written,
# and it is started again, to look by itself.  Where the device is the same and does
# not open any more, that is told.
#
# needs: appliance

# With the quick header, and the host first.
NBDE_OPTIONS=
. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires jq

start_tang one

# Their first keyslots take longer than a header to write.
for name in before after; do
  printf %s "of $name" > pass
  luks_file $name.luks 3 "$(uuid_of $name)" pass "${small_header[@]}" \
    --pbkdf pbkdf2 --pbkdf-force-iterations 2000000 || fail 'no LUKS device'
  bind_luks $name.luks pass tang "$(tang_config one)" || fail 'not bound'
done
disk_of disk.img before.luks
disk_of after.img after.luks

# The disk is changed when qemu is started with it for the first time.
wrap_qemu hv '[ -e changed ] || cp after.img disk.img; : > changed'

LIBGUESTFS_HV=$PWD/hv nbde --format=raw -a disk.img --tang-allow 127.0.0.1 \
  --inspect --list
assert_status 0
assert_stderr_matches \
  'warning: /dev/sda1 is another device in the appliance than it was on the host'
assert_equal 2 "$(grep -c 'Starting the appliance' "$err")" 'starts'
assert_stdout_has "UUID:    $(uuid_of after)"
assert_stdout_lacks "$(uuid_of before)"
assert_same_file after.img disk.img

# Its keyslots are gone when qemu is started.
bound_piece quick.luks tang "$(tang_config one)"
disk_of disk.img quick.luks
disk_of after.img quick.luks
dd if=/dev/urandom of=after.img bs=1M seek=1 count=2 conv=notrunc status=none
dd if=disk.img of=after.img bs=1K skip=1024 seek=1024 count=32 conv=notrunc \
  status=none
rm changed
LIBGUESTFS_HV=$PWD/hv nbde --format=raw -a disk.img --tang-allow 127.0.0.1 \
  --inspect --output-format=json
assert_status 2
assert_equal 1 "$(grep -c 'Starting the appliance' "$err")" 'starts'
assert_equal not-opened "$(jq -r '.devices[0].state' "$out")" state
assert_device_error /dev/sda1 'cryptsetup'
