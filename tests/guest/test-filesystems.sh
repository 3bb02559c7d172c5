#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The filesystems that the installers of Fedora and of Red Hat Enterprise Linux
# choose: subvolumes of btrfs, and XFS on logical volumes.  Inspected in one
# launch, and each mounted, with /home where it belongs.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/mount.sh"
requires_tang
requires_appliance
requires mkfs.xfs virt-inspector xmllint
get_guests btrfs xfs

start_tang one
bind btrfs root tang "$(tang_config one)"
bind xfs root tang "$(tang_config one)"
sha256sum btrfs.img xfs.img > sums
nbde --format=raw -a btrfs.img -a xfs.img --tang-allow 127.0.0.1 -i
assert_status 0
btrfs=btrfsvol:/dev/mapper/luks-$(luks_uuid btrfs root)
assert_stdout_has "Operating system on $btrfs/root"
assert_stdout_matches "^ +/ +$btrfs/root +btrfs "
assert_stdout_matches "^ +/home +$btrfs/home +btrfs "
assert_stdout_has 'Operating system on /dev/rhel/root'
assert_stdout_matches '^ +/ +/dev/rhel/root +xfs '
assert_stdout_matches '^ +/home +/dev/rhel/home +xfs '

# What virt-inspector says of subvolumes, it says too.
nbde --format=raw -a btrfs.img --tang-allow 127.0.0.1 --output-keys keys \
  -i --output-format=xml
assert_status 0
xmllint --format "$out" > ours.xml || fail 'not XML'
run_command sh -c 'virt-inspector --no-applications --no-icon --format=raw \
  --keys-from-stdin -a btrfs.img < keys'
assert_status 0
xmllint --format "$out" > theirs.xml || fail 'virt-inspector: not XML'
sed -i 1d ours.xml theirs.xml
assert_same_file theirs.xml ours.xml

#   mounted NAME
mounted ()
{
  mount_guest --format=raw -a "$1.img" --tang-allow 127.0.0.1
  assert_status 0
  assert_equal "$1.example.com" "$(cat mnt/etc/hostname)" 'host name'
  assert_equal of-alice "$(cat mnt/home/alice.txt)" /home/alice.txt
  guestunmount mnt || fail 'cannot be unmounted'
  assert_gone 30
}
mounted btrfs
mounted xfs
sha256sum --quiet -c sums || fail 'a disk was changed'
