#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# ^C while a key is derived that takes many seconds: nobody waits for it.
#
# needs: appliance
# alone

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance

# Seven seconds on a fast processor, estimated at 16.
iterations=8000000

start_tang one
bound_piece a.luks tang "$(tang_config one)"
clevis_pass a.luks 1 a.key
cryptsetup luksConvertKey -q --key-file a.key --key-slot 1 --pbkdf pbkdf2 \
  --pbkdf-force-iterations $iterations a.luks || fail 'cannot change a.luks'
disk_of disk.img a.luks

# The thread that derives has stepped back (field 19 is its nice value).
derives ()
{
  find_vault || return 1
  sed 's/^.*) //' "/proc/$vault/task/"*/stat 2>/dev/null |
    awk '$17 == 5 && $1 == "R" { found = 1 } END { exit !found }'
}

nbde_start --format=raw -a disk.img --tang-allow 127.0.0.1 --check
wait_for 240 derives || fail 'no key is derived'
start=$(date +%s%N)
kill -INT -- "-$nbde_pid"
nbde_wait 20
took=$((($(date +%s%N) - start) / 1000000))
assert_equal 130 "$status" 'exit status'
assert_one_error interrupted
assert_no_leftovers
[ $took -lt 4000 ] || fail "it took $took ms to end"
echo "ended after $took ms"
