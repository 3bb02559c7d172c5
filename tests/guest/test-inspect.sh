#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The main job: a guest with LUKS2 on a partition and LVM in it is unlocked,
# inspected, and its key written, in one run; its disk is not changed.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
get_guests part-lvm

start_tang one
bind part-lvm root tang "$(tang_config one)"
clevis_key part-lvm root 1 expected
sha256sum part-lvm.img > sum
uuid=$(luks_uuid part-lvm root)

umask 0
nbde --format=raw -a part-lvm.img --tang-allow "127.0.0.1:$TANG_PORT_one" \
  --list --check --inspect --output-keys keys
assert_status 0
sha256sum --quiet -c sum || fail 'the disk was changed'

# --output-keys
assert_same_file expected keys
assert_equal 600 "$(stat -c %a keys)" 'mode of the file of keys'

# --list
assert_stdout_matches '^/dev/sda2: LUKS2'
# --check
assert_stdout_matches \
  "^/dev/sda2 $uuid: token 0, keyslot 1, $TANG_URL_one, [0-9.]+ s\$"

# --inspect: the system
assert_stdout_has 'Operating system on /dev/demo/root'
assert_stdout_matches '^ +Product: +12\.5$'
assert_stdout_matches '^ +Version: +12\.5$'
assert_stdout_matches '^ +Architecture: +x86_64$'
assert_stdout_matches '^ +Distribution: +debian$'
assert_stdout_matches '^ +Hostname: +part-lvm\.example\.com$'
assert_stdout_matches '^ +Package format: +deb$'
assert_stdout_matches '^ +/ +/dev/demo/root +ext4 +96(\.0)? ?M'
assert_stdout_matches '^ +/boot +/dev/sda1 +ext4 +31(\.0)? ?M'
assert_stdout_matches '^ +/home +/dev/demo/home +ext4 +32(\.0)? ?M'

# --inspect: the LUKS device
assert_stdout_has 'LUKS device /dev/sda2'
assert_stdout_matches "^ +UUID: +$uuid\$"
assert_stdout_matches '^ +LUKS version: +2$'
assert_stdout_matches '^ +Cipher: +aes-xts-plain64, 512-bit key$'
assert_stdout_matches "^ +Opened as: +/dev/mapper/luks-$uuid\$"
assert_stdout_matches '^ +Unlocked by: +token 0, keyslot 1$'
assert_stdout_matches "^ +Server: +$TANG_URL_one\$"
assert_stdout_matches '^ +Exchange: +[0-9.]+ s$'

# The appliance is not asked for what the host has seen.
nbde -x --format=raw -a part-lvm.img --tang-allow 127.0.0.1 --inspect
assert_status 0
assert_stderr_has 'libguestfs: trace: virt-nbde-unlock: inspect_os'
for call in list_devices list_partitions list_md_devices lvs \
            blockdev_getsize64 pread_device; do
  assert_stderr_lacks "libguestfs: trace: virt-nbde-unlock: $call "
done
assert_stdout_matches '^ +/ +/dev/demo/root +ext4 +96(\.0)? ?M'

# What was asked for is all that is on standard output.
assert_stdout_lacks 'virt-nbde-unlock:'
assert_stdout_lacks '[  '
assert_stderr_matches '^\[ *[0-9.]+\] '
