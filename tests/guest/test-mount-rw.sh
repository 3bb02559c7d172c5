#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --mount --rw: what is written through the mount is on the disk when the
# program has ended, and nothing else: the header of the LUKS device is what
# it was.  In the foreground, and on a disk that is LUKS1 from its first
# byte.  A guest with two operating systems is not mounted by itself.
#
# needs: appliance
# slow

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/mount.sh"
requires_tang
requires_appliance
get_guests whole part-lvm

start_tang one
bind whole root tang "$(tang_config one)"
uuid=$(luks_uuid whole root)
head -c 2M whole.img > header

# As mount_guest, in the foreground; sets nbde_pid.
mount_here ()
{
  nbde_start --mount mnt --pid-file pid --no-fork --tang-allow 127.0.0.1 "$@"
  wait_for 120 test -e "$pid_file" || fail 'it is not ready'
  find_processes
  assert_equal "$nbde_pid" "$mount_pid" 'process ID'
}

no_mount ()
{
  nbde --mount mnt --pid-file pid --tang-allow 127.0.0.1 "$@"
  is_not_mounted || fail 'it is mounted'
  assert_no_file pid
  assert_status 1
}

# Written and unmounted.
mount_here --rw --format=raw -a whole.img
echo 'written by a test' > mnt/srv/new || fail 'it cannot be written'
head -c 3000000 /dev/urandom > data
mkdir mnt/srv/folder && cp data mnt/srv/folder/data ||
  fail 'it cannot be written'
rm mnt/etc/hosts || fail 'it cannot be removed'
# From now on its fstab has something that is not there.
cp mnt/etc/fstab fstab
echo '/dev/sdq1 /srv ext4 nofail 0 0' >> mnt/etc/fstab
fusermount -u "$directory" || fail 'it cannot be unmounted'
nbde_wait 60
assert_status 0
assert_gone 10
head -c 2M whole.img | cmp - header >&2 || fail 'the LUKS header was changed'

# And by a signal, after which nothing must be lost.
mount_here --rw --format=raw -a whole.img
assert_same_file data mnt/srv/folder/data
assert_no_file mnt/etc/hosts
assert_stderr_matches 'warning: /srv is left out: /dev/sdq1 cannot be mounted'
{ cat fstab && echo '/dev/sdq1 /srv ext4 defaults 0 0'; } > mnt/etc/fstab
cp data mnt/srv/again || fail 'it cannot be written'
kill -INT "$mount_pid"
nbde_wait 60
assert_status 0
assert_stderr_lacks error
assert_gone 10

# guestfish finds it all.
{
  echo run
  echo 'cryptsetup-open /dev/sda root'
  cat "$guests/whole/passphrase"
  echo
  echo 'mount-ro /dev/mapper/root /'
  echo 'cat /srv/new'
  echo 'download /srv/folder/data data1'
  echo 'download /srv/again data2'
  echo 'exists /etc/hosts'
} > script
run_command guestfish --ro --format=raw -a whole.img --keys-from-stdin \
  -f script
assert_status 0
assert_stdout_has 'written by a test'
assert_stdout_has false
assert_same_file data data1
assert_same_file data data2

# What the guest does not do without is not there.
no_mount --format=raw -a whole.img
assert_one_error \
  'nothing was mounted, since /dev/sdq1 cannot be mounted on /srv: '

# The appliance dies: what was written may be lost, which is an error.
mount_here --rw --format=raw -a whole.img -v -m "/dev/mapper/luks-$uuid"
kill -KILL "$qemu"
nbde_wait 60
assert_status 1
assert_one_error 'the appliance has died'
assert_stderr_has 'What was written last may be lost'
assert_gone 10

# A data disk that is LUKS1 from its first byte; no -m, no mount.
printf %s 'of luks1' > passphrase1
luks1=$(uuid_of rw-luks1)
luks_file luks1.img 24 "$luks1" passphrase1 --type luks1 &&
  bind_luks luks1.img passphrase1 tang "$(tang_config one)" ||
  fail 'there is no LUKS1 device'
{
  echo run
  echo 'luks-open /dev/sda data'
  cat passphrase1
  echo
  echo 'mke2fs /dev/mapper/data fstype:ext4'
} > script
guestfish --format=raw -a luks1.img --keys-from-stdin -f script ||
  fail 'guestfish does not open the LUKS1 device'

sha256sum luks1.img > sum
no_mount -a luks1.img
assert_one_error \
  "no operating system .* -m with one or more of /dev/mapper/luks-$luks1 \(ext4"
sha256sum --quiet -c sum || fail 'the disk was changed'

mount_here --rw -a luks1.img -m "/dev/mapper/luks-$luks1"
cp data mnt/data || fail 'it cannot be written'
guestunmount "$directory" || fail 'it cannot be unmounted'
nbde_wait 60
assert_status 0
assert_gone 10
mount_guest --tang-allow 127.0.0.1 -a luks1.img -m "/dev/mapper/luks-$luks1"
assert_status 0
assert_same_file data mnt/data
fusermount -u "$directory"
assert_gone 30

# Two operating systems.
bind part-lvm root tang "$(tang_config one)"
no_mount --format=raw -a part-lvm.img -a whole.img
assert_one_error \
  "there are 2 operating systems: use -m .*/dev/demo/root \(12\.5\)"
assert_stderr_matches "/dev/mapper/luks-$uuid"
