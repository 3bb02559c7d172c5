#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The lines of --output-keys are in the order in which the virt tools ask with
# --keys-from-stdin: virt-inspector opens a guest with LUKS on partitions and
# one with LUKS on logical volumes by them.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires virt-inspector
get_guests lv two

start_tang one
for device in 'two root' 'two home' 'lv root' 'lv srv'; do
  # shellcheck disable=SC2086
  bind $device tang "$(tang_config one)"
done

# The disk with the logical volumes is the first.
disks=(--format=raw -a lv.img -a two.img)
nbde "${disks[@]}" --tang-allow 127.0.0.1 --output-keys keys
assert_status 0
assert_no_stdout

# Partitions, then logical volumes by name: data is /srv.
clevis_key two root 1 k1
clevis_key two home 1 k2
clevis_key lv srv 1 k3
clevis_key lv root 1 k4
{ cat k1; echo; cat k2; echo; cat k3; echo; cat k4; } > expected
assert_same_file expected keys

last_command='virt-inspector'
virt-inspector "${disks[@]}" --keys-from-stdin --no-applications --no-icon \
  < keys > "$out" 2> "$err" || fail 'virt-inspector does not open the guests'
assert_stdout_has '<hostname>two.example.com</hostname>'
assert_stdout_has '<hostname>lv.example.com</hostname>'
assert_stdout_has '<mountpoint dev="/dev/mapper/luks-'"$(luks_uuid lv srv)"
