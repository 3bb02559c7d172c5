#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A damaged primary LUKS2 header is repaired from the secondary one, but a
# secondary header that was left behind on a device with other contents is
# none; nor is the reverse in the way, a damaged secondary one.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires mkfs.ext4

start_tang one
printf %s 'of a disk' > passphrase
# The secondary header lies at 1 MiB.
for name in reformatted primary secondary; do
  luks_file $name.img 16 "$(uuid_of $name)" passphrase \
    --luks2-metadata-size 1m --luks2-keyslots-size 1m --offset 8192 ||
    fail "cannot make $name.img"
  bind_luks $name.img passphrase tang "$(tang_config one)" || fail $name.img
done
mkfs.ext4 -q -F -b 4096 -O ^resize_inode -E nodiscard reformatted.img ||
  fail 'cannot format'
zero ()
{
  dd if=/dev/zero of="$1" bs=4096 count=1 seek="$2" conv=notrunc status=none
}
zero primary.img 0
zero secondary.img 256
has_secondary ()
{
  dd if="$1" bs=4096 skip=256 count=1 status=none | head -c 4 | grep -q SKUL
}
has_secondary reformatted.img || fail 'mkfs has overwritten it'
has_secondary primary.img || fail 'there is no secondary header'

nbde --format=raw -a reformatted.img -a primary.img -a secondary.img \
  --tang-allow 127.0.0.1 --check -i -v
assert_status 0
assert_stdout_lacks "$(uuid_of reformatted)"
assert_stderr_matches '/dev/sda: is ext2, ext3 or ext4'
assert_stdout_matches "^/dev/sdb $(uuid_of primary): token 0, keyslot 1"
assert_stderr_has '/dev/sdb: the primary LUKS2 header is damaged'
assert_stdout_matches "^/dev/sdc $(uuid_of secondary): token 0, keyslot 1"
assert_stdout_matches '^ +Opened as: '
