#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# LUKS1 on whole disks, which qemu takes for a disk format: they are added in
# a way that it accepts, and nothing of that is left behind.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires luksmeta

start_tang one
printf %s 'of a disk' > passphrase
for disk in plain.img 'with: a, colon.img'; do
  luks_file "$disk" 6 "$(uuid_of "$disk")" passphrase --type luks1 ||
    fail "cannot make $disk"
  bind_luks "$disk" passphrase tang "$(tang_config one)" ||
    fail "cannot bind $disk"
done
clevis_pass plain.img 1 expected
qemu-img convert -f raw -O qcow2 plain.img inside.qcow2

sha256sum ./*.img inside.qcow2 > sums
nbde -a plain.img -a inside.qcow2 --format=raw -a 'with: a, colon.img' \
  --tang-allow 127.0.0.1 --check -i --output-keys keys
assert_status 0
sha256sum --quiet -c sums || fail 'a disk was changed'
assert_stdout_matches "^/dev/sda $(uuid_of plain.img): token 1, keyslot 1"
assert_equal 3 "$(grep -c '^ *Opened as: ' "$out")" 'opened devices'
assert_equal 3 "$(grep -c '^ *LUKS version: *1$' "$out")" 'LUKS1 devices'
assert_equal "$(cat expected)" "$(head -n 1 keys)" 'the first key'

# Nor when it is interrupted.
nbde_start -a plain.img --check --appliance=always
overlay ()
{
  [ -n "$(find "$run_tmp" -name '*.qcow2')" ]
}
wait_for 60 overlay || fail 'there was no overlay'
folder=$(dirname "$(find "$run_tmp" -name '*.qcow2' | head -n 1)")
assert_equal 700 "$(stat -c %a "$folder")" 'mode of the folder'
kill -TERM "$nbde_pid"
nbde_wait 60
assert_status $((128 + 15))
assert_no_leftovers

# A disk that is said to have that format.
nbde --format=luks -a plain.img --list
assert_status 1
assert_one_error 'plain\.img: .* use --format=raw'
assert_stderr_lacks 'Starting the appliance'
