#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Keys go to the virt tools in the ways that the tools have for them: a file,
# standard input, and both mixed.  Two devices have different keys that come
# from a server; a third one is not bound, and its key is given.
#
# needs: appliance
# timeout: 1500

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires virt-cat virt-inspector
get_guests lv part-lvm

start_tang one
bind lv root tang "$(tang_config one)"
bind lv srv tang "$(tang_config one)"
bind part-lvm root tang "$(tang_config one)"
printf %s 'of the third device' > passphrase
cp passphrase third.key
piece third.luks
disk_of third.img third.luks
sha256sum ./*.img > sums

tool ()
{
  local input=$1
  shift
  last_command="$* < $input"
  status=0
  "$@" < "$input" > "$out" 2> "$err" || status=$?
}

disks=(--format=raw -a lv.img -a third.img)
nbde "${disks[@]}" --tang-allow 127.0.0.1 --output-keys three \
  --key /dev/sdb1:file:third.key
assert_status 0
# Partitions come before logical volumes, and these are sorted by name: the
# volume of /srv is called data.
clevis_key lv root 1 root.key
clevis_key lv srv 1 srv.key
! cmp -s root.key srv.key || fail 'the keys are the same'
{ cat third.key; echo; cat srv.key; echo; cat root.key; } > expected
assert_same_file expected three

# All three lines by standard input.
tool three guestfish --ro "${disks[@]}" --keys-from-stdin -i \
  cat /etc/hostname : list-dm-devices
assert_status 0
assert_stdout_has lv.example.com
assert_equal 3 "$(grep -c '^/dev/mapper/' "$out")" 'opened devices'

# In another order they open nothing.
{ sed -n 1p three; sed -n 3p three; echo; sed -n 2p three; } > shuffled
tool shuffled guestfish --ro "${disks[@]}" --keys-from-stdin -i \
  cat /etc/hostname
[ "$status" -ne 0 ] || fail 'guestfish opens the guest by keys in disorder'

# Two lines by standard input, and the third key by --key.
tail -n 2 three > lines
tool lines virt-inspector "${disks[@]}" --keys-from-stdin \
  --key "$(uuid_of third.luks):file:third.key" --no-applications --no-icon
assert_status 0
assert_stdout_has '<hostname>lv.example.com</hostname>'
assert_stdout_has "/dev/mapper/luks-$(luks_uuid lv srv)"

# One device: the same file is a key file.
nbde --format=raw -a part-lvm.img --tang-allow 127.0.0.1 --output-keys one.key
assert_status 0
tool /dev/null virt-cat --format=raw -a part-lvm.img \
  --key "$(luks_uuid part-lvm root):file:one.key" /etc/hostname
assert_status 0
assert_equal part-lvm.example.com "$(cat "$out")" 'the output'

sha256sum --quiet -c sums || fail 'a disk was changed'
