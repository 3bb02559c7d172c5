#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The keys that --output-keys writes are byte for byte what "clevis luks pass"
# prints, for 50 freshly bound devices.
#
# needs: appliance
# timeout: 1200

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance

start_tang one

# Make the devices from a number to another, and ask clevis for their keys.
make_devices ()
{
  local i
  for i in $(seq "$1" "$2"); do
    bound_piece "d$i.luks" tang "$(tang_config one)"
    clevis_pass "d$i.luks" 1 "d$i.key"
    # The appliance need not try the passphrase's keyslot first.
    cryptsetup luksKillSlot -q "d$i.luks" 0 || fail "d$i.luks"
  done
}
piece first.luks
make_devices 1 25 &
make_devices 26 50
wait $! || fail 'see above'

files=()
for i in $(seq 50); do
  files+=("d$i.luks")
  [ "$i" -eq 1 ] || echo
  cat "d$i.key"
done > expected
disk_of disk.img "${files[@]}"

nbde --format=raw -a disk.img --tang-allow 127.0.0.1 --output-keys keys
assert_status 0
assert_same_file expected keys
assert_equal 49 "$(wc -l < keys)" 'newlines in the file'
