#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --output-format=xml of what is not one Linux: Windows next to a bound disk of
# data, Linux next to Windows.
#
# needs: appliance
# slow

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/inspector.sh"
. "$top_srcdir/tests/guests/windows.sh"
requires_tang
requires_appliance
requires virt-inspector xmllint python3 hivexregedit mkfs.ntfs
find_schema
get_guests part-lvm
start_tang one
allow=(--tang-allow 127.0.0.1)
bind part-lvm root tang "$(tang_config one)"

# A disk of data, and Windows.
printf %s 'data' > passphrase
uuid=$(uuid_of windows-data)
luks_file data.luks 16 "$uuid" passphrase "${small_header[@]}" ||
  fail 'no LUKS device'
bind_luks data.luks passphrase tang "$(tang_config one)" ||
  fail 'cannot bind'
gpt data.img 18 data:1:16
put data.luks data.img 1
fish_start "$tmp/script.fish"
windows_disk windows.img || fail 'no disk of Windows'
fish_drive data.img
fish_open "${device}1" data passphrase
fish "mke2fs /dev/mapper/data fstype:ext4 label:data"
fish "cryptsetup-close /dev/mapper/data"
fish_run || fail 'the guests cannot be made'

# Windows, and the data disk is no part of it.
disks=(--format=raw -a windows.img -a data.img)
nbde "${disks[@]}" "${allow[@]}" --inspect --applications --icon \
  --output-format=xml --output-keys keys
assert_status 0
keep_xml windows
inspector expected.xml keys "${disks[@]}"
assert_same_xml expected.xml windows.xml
for path in 'count(//operatingsystem)=1' \
            'string(//name)=windows' \
            'string(//arch)=x86_64' \
            'string(//major_version)=10' \
            'string(//hostname)=winguest' \
            'string(//windows_systemroot)=/Windows' \
            'string(//windows_current_control_set)=ControlSet001' \
            'string(//drive_mapping[@name="C"])=/dev/sda1' \
            'string(//application/publisher)=Nobody & Sons'; do
  assert_equal "${path##*=}" "$(xmllint --xpath "${path%=*}" windows.xml)" \
    "${path%=*}"
done

# Two systems, one of them behind the binding.
disks=(--format=raw -a part-lvm.img -a windows.img)
nbde "${disks[@]}" "${allow[@]}" --inspect --output-format=xml \
  --output-keys keys --force
assert_status 0
keep_xml both
inspector expected.xml keys "${disks[@]}" --no-applications --no-icon
assert_same_xml expected.xml both.xml
assert_equal 2 "$(xmllint --xpath 'count(//operatingsystem)' both.xml)" systems
