#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# LUKS is found wherever a guest may have it: on partitions, logical volumes,
# an MD array, a whole disk, and in another LUKS device; the system in it is
# inspected.  Five guests, in one launch.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
get_guests two lv md whole nested

start_tang one
start_tang two
bind two root tang "$(tang_config one)"
bind two home tang "$(tang_config two)"
bind lv root tang "$(tang_config one)"
bind lv srv tang "$(tang_config two)"
bind md root tang "$(tang_config one)"
bind whole root tang "$(tang_config two)"
bind nested outer tang "$(tang_config one)"

# The inner device names a server of its own.
exec 8> "$guests/nested/lock"
flock 8
url=$(cat "$guests/nested/url")
address=${url#http://}
serve "${address%:*}" "${address##*:}" inner.log \
  "exec $(tangd_command "$guests/nested/tang")" ||
  fail 'the address of the nested guest is taken'
groups+=("$SERVER_PID")

disks=(two.img lv.img md.img whole.img nested.img)
sha256sum "${disks[@]}" > sums
arguments=()
for disk in "${disks[@]}"; do arguments+=(-a "$disk"); done
nbde --format=raw "${arguments[@]}" --tang-allow 127.0.0.0/8 --check -i
assert_status 0
sha256sum --quiet -c sums || fail 'a disk was changed'

#   opened DEVICE UUID URL
opened ()
{
  assert_stdout_matches "^$1 $2: token 0, keyslot 1, $3, [0-9.]+ s\$"
}
opened /dev/sda2 "$(luks_uuid two root)" "$TANG_URL_one"
opened /dev/sda3 "$(luks_uuid two home)" "$TANG_URL_two"
opened /dev/lvguest/root "$(luks_uuid lv root)" "$TANG_URL_one"
opened /dev/lvguest/data "$(luks_uuid lv srv)" "$TANG_URL_two"
opened '/dev/md[0-9]+' "$(luks_uuid md root)" "$TANG_URL_one"
opened /dev/sdd "$(luks_uuid whole root)" "$TANG_URL_two"
opened /dev/sde1 "$(luks_uuid nested outer)" "$TANG_URL_one"
opened "/dev/mapper/luks-$(luks_uuid nested outer)" "$(uuid_of nested-inner)" \
  "$url"

for guest in two lv md whole nested; do
  assert_stdout_matches "^ +Hostname: +$guest\.example\.com\$"
done
assert_equal 5 "$(grep -c '^Operating system on ' "$out")" 'systems found'

# Mount points of all guests are found, by UUID and by luks-UUID.
assert_stdout_matches "^ +/home +/dev/mapper/luks-$(luks_uuid two home) +ext4"
assert_stdout_matches "^ +/srv +/dev/mapper/luks-$(luks_uuid lv srv) +ext4"
assert_stdout_matches '^ +/boot +/dev/sdc1 +ext4'

# An opened device is not said to be unlocked twice.
assert_equal 8 "$(grep -c '^LUKS device ' "$out")" 'LUKS devices'
