#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --output-format=xml: what virt-inspector writes of the same guest, opened
# with the keys that were recovered; with applications and icon, and without;
# where the root is on the LUKS device itself; where there is no system.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/inspector.sh"
requires_tang
requires_appliance
requires virt-inspector xmllint
find_schema
get_guests part-lvm two
start_tang one
allow=(--tang-allow 127.0.0.1)
bind part-lvm root tang "$(tang_config one)"

# All there is, and keys besides.
nbde --format=raw -a part-lvm.img "${allow[@]}" --inspect --applications \
  --icon --output-format=xml --output-keys keys
assert_status 0
keep_xml all
inspector expected.xml keys --format=raw -a part-lvm.img
assert_same_xml expected.xml all.xml

# The comparison is of something.
for path in 'string(//hostname)=part-lvm.example.com' \
            'string(//osinfo)=debian12' \
            'count(//application)=4' \
            'string(//application[name="cryptsetup"]/epoch)=2' \
            'string(//mountpoint[@dev="/dev/demo/home"])=/home' \
            'string(//filesystem[@dev="/dev/demo/swap"]/label)=swap'; do
  assert_equal "${path##*=}" "$(xmllint --xpath "${path%=*}" all.xml)" \
    "${path%=*}"
done
xmllint --xpath 'string(//icon)' all.xml | base64 -d > icon.png
assert_equal '89504e470d0a1a0a' "$(od -An -tx1 -N8 icon.png | tr -d ' ')" icon
sed 's/cryptsetup/cryptseduq/' all.xml > planted.xml
assert_fails assert_same_xml expected.xml planted.xml
sed 's/<major_version>.*//' all.xml > planted.xml
assert_fails assert_schema planted.xml

# As text: the same applications below the rest.
nbde --format=raw -a part-lvm.img "${allow[@]}" --inspect --applications --icon
assert_status 0
assert_stdout_matches '^ +Icon: +PNG, [0-9]+ B$'
assert_stdout_has '  Applications:'
assert_stdout_matches '^ +cryptsetup +2:2\.6\.1-4 +amd64$'
assert_stdout_matches '^ +clevis +19-2 +amd64$'

# The root on the LUKS device itself, which each program names in its way.
bind two root tang "$(tang_config one)"
bind two home tang "$(tang_config one)"
nbde --format=raw -a two.img "${allow[@]}" --inspect --output-format=xml \
  --output-keys keys --force
assert_status 0
keep_xml two
assert_stdout_lacks '<applications'
assert_stdout_lacks '<icon'
inspector expected.xml keys --format=raw -a two.img --no-applications --no-icon
# virt-inspector of 1.48 says "cryptsda2".
sed -i -e "s,/dev/mapper/cryptsda2,/dev/mapper/luks-$(luks_uuid two root),g" \
  -e "s,/dev/mapper/cryptsda3,/dev/mapper/luks-$(luks_uuid two home),g" \
  expected.xml
assert_same_xml expected.xml two.xml

# No operating system: a document without one, for which virt-inspector's schema
# does not provide.
bound_piece data.luks tang "$(tang_config one)"
disk_of data.img data.luks
nbde --format=raw -a data.img "${allow[@]}" --inspect --output-format=xml \
  --output-keys keys --force
assert_status 0
cp "$out" none.xml
assert_equal '<operatingsystems/>' "$(sed 1d none.xml)" 'no system'
inspector expected.xml keys --format=raw -a data.img
assert_same_xml expected.xml none.xml
