#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A guest with two disks, whose volume group spans two LUKS devices that are
# bound to different servers, is one system.  With one of the servers gone,
# the other device is opened all the same.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance

start_tang one
start_tang two
printf %s 'of two disks' > passphrase
fish_start build.fish
n=0
for disk in first second; do
  n=$((n + 1))
  luks_file $disk.img 56 "$(uuid_of $disk)" passphrase "${small_header[@]}" ||
    fail "cannot make $disk.img"
  fish_drive "$PWD/$disk.img"
  fish_open "$device" $disk passphrase
  fish "pvcreate /dev/mapper/$disk"
done
fish 'vgcreate wide "/dev/mapper/first /dev/mapper/second"'
# More than one of them holds.
fish "lvcreate root wide 88"
linux_tree tree.tar debian wide.example.com \
  '/dev/mapper/wide-root / ext4 errors=remount-ro 0 1' \
  "first UUID=$(uuid_of first) none luks,_netdev
second UUID=$(uuid_of second) none luks,_netdev"
fish 'mke2fs /dev/wide/root fstype:ext4 label:root'
fish 'mount /dev/wide/root /'
fish "tar-in $PWD/tree.tar /"
fish umount-all
fish 'vg-activate false wide'
for disk in first second; do fish "cryptsetup-close /dev/mapper/$disk"; done
fish_run || fail 'cannot build the guest'
bind_luks first.img passphrase tang "$(tang_config one)" || fail 'first.img'
bind_luks second.img passphrase tang "$(tang_config two)" || fail 'second.img'

sha256sum first.img second.img > sums
run=(--format=raw -a first.img -a second.img --tang-allow 127.0.0.1 --check -i)
nbde "${run[@]}"
assert_status 0
sha256sum --quiet -c sums || fail 'a disk was changed'
assert_stdout_matches \
  "^/dev/sda $(uuid_of first): token 0, keyslot 1, $TANG_URL_one, "
assert_stdout_matches \
  "^/dev/sdb $(uuid_of second): token 0, keyslot 1, $TANG_URL_two, "
assert_equal 1 "$(grep -c '^Operating system on ' "$out")" 'systems'
assert_stdout_has 'Operating system on /dev/wide/root'
assert_stdout_matches '^ +Hostname: +wide\.example\.com$'
assert_stdout_matches '^ +/ +/dev/wide/root +ext4'

end_server two
nbde "${run[@]}"
assert_status 4
assert_stdout_matches "^/dev/sda .*: token 0, keyslot 1"
assert_stdout_matches "^/dev/sdb .*: failed\$"
assert_stdout_matches "^ +Opened as: +/dev/mapper/luks-$(uuid_of first)\$"
assert_device_error /dev/sdb .
