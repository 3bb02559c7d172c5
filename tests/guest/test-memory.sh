#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --no-quick-open: the device's own header is opened, whose first keyslot takes
# more memory than the appliance has.  Where the host has seen it, the appliance is
# started with enough; where only the appliance has, it is started again, once.
# With the quick header neither is needed.
#
# needs: appliance

# With the quick header, whatever else is tested.
NBDE_OPTIONS=
. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires jq

start_tang one
printf %s 'of a piece' > passphrase
luks_file dear.luks 3 "$(uuid_of dear)" passphrase "${small_header[@]}" \
  --pbkdf argon2id --pbkdf-memory $((1100 * 1024)) \
  --pbkdf-force-iterations 4 --pbkdf-parallel 1 || fail 'no LUKS device'
bind_luks dear.luks passphrase tang "$(tang_config one)" || fail 'not bound'
cryptsetup luksDump dear.luks | grep -q 'Memory: *1126400' ||
  fail 'keyslot 0 is not dear'
disk_of disk.img dear.luks
sha256sum disk.img > sum

# Where nothing is known of the headers, the tool gives 1024 MiB more than libguestfs.
export LIBGUESTFS_MEMSIZE=256

opens ()
{
  nbde --format=raw -a disk.img --tang-allow 127.0.0.1 -v --inspect \
    --output-format=json "$@"
  assert_status 0
  assert_equal opened "$(jq -r '.devices[0].state' "$out")" state
  sha256sum --quiet -c sum || fail 'the disk was changed'
}
starts ()
{
  grep -c '^\[ *[0-9.]*\] Starting the appliance' "$err"
}

opens --no-quick-open --appliance=always
assert_equal 2 "$(starts)" 'starts of the appliance'
assert_stderr_has \
  '/dev/sda1: keyslot 0 takes 1.1 GiB of memory: starting again with 1356 MiB'
assert_stderr_has 'appliance: 1280 MiB of memory'
assert_stderr_has 'appliance: 1356 MiB of memory'

opens --no-quick-open
assert_equal 1 "$(starts)" 'starts of the appliance'
assert_stderr_has \
  '/dev/sda1: keyslot 0 takes 1.1 GiB of memory: starting with 1356 MiB'
dear=$(jq '.timings.steps.open' "$out")

# Nor is more given than libguestfs takes, since the host knows of no need.
LIBGUESTFS_MEMSIZE=512 opens
assert_equal 1 "$(starts)" 'starts of the appliance'
assert_stderr_lacks 'starting again'
assert_stderr_has 'appliance: 512 MiB of memory'
cheap=$(jq '.timings.steps.open' "$out")

# Not a measurement, but a sign that the dear keyslot was really paid for.
jq -en "$dear > 3 * $cheap" >/dev/null ||
  fail "opening took $dear s, and $cheap s with the quick header"

# What the user says counts: nothing is started again.
nbde --format=raw -a disk.img --tang-allow 127.0.0.1 -v --inspect \
  --memsize 400 --no-quick-open
[ "$status" -eq 2 ] || [ "$status" -eq 0 ] || fail "exit status $status"
assert_equal 1 "$(starts)" 'starts of the appliance'
assert_stderr_has '1.1 GiB of memory, but the appliance has 400 MiB'
