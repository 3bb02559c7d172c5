#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Secrets in the memory of the tool and of all processes that it has, when requests
# were answered elsewhere: while the appliance is launched, the ephemeral keys of
# --requests-state are in locked memory of the tool only; while --mount serves,
# nothing is in any.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"
. "$top_srcdir/tests/lib/memory.sh"
. "$top_srcdir/tests/lib/mount.sh"
requires_appliance
get_guests two

start_tang one
bind two home tang "$(tang_config one)"
bind two root tang "$(tang_config one)"
for name in home root; do
  get_header two.img "$(luks_offset two $name)" $name.luks
  cryptsetup token export --token-id 0 $name.luks |
    jq -j .jwe.protected > $name.jwe
  add_device_secrets $name $name.luks 1
  add_tang_secrets $name $name.jwe "$TANG_DIR_one"
done

unlock_file --allow 127.0.0.1 --export r --state r.state home.luks root.luks
assert_status 0
jq -r '.requests[].key.d' r.state > ephemeral
assert_equal 2 "$(wc -l < ephemeral)" 'ephemeral keys'
for i in 1 2; do
  sed -n ${i}p ephemeral | tr -d '\n' | add_base64_secret ephemeral-$i
done
sed -n '/^```bash$/,/^```$/p' "$top_srcdir/docs/two-step.md" |
  sed '1d;$d' > answer-requests
bash answer-requests r > r.replies || fail 'answer-requests'

# In the foreground, so that there is a moment to look at the launch.
nbde_start --mount mnt --pid-file pid --no-fork --format=raw -a two.img \
  --import-replies r.replies --requests-state r.state
wait_for 300 find_qemu || fail 'no qemu was started'
find_vault || fail 'there is no vault'
scan_run
assert_only_locked 'at the launch'
assert_only_in_vault 'at the launch'
assert_found "^$vault .* ephemeral-1 locked"
assert_found "^$vault .* ephemeral-2 locked"

is_served ()
{
  is_mounted && [ -e "$pid_file" ] && [ -e mnt/etc ]
}
wait_for 400 is_served || fail 'nothing was mounted'
scan_run
assert_nothing_found 'while it is mounted'
# The keys were there: the guest can be looked into.
[ -n "$(ls mnt/home)" ] || fail 'there is nothing in the home of the guest'
scan_run
assert_nothing_found 'when it was looked into'
fusermount -u mnt
nbde_wait 60
assert_status 0
assert_no_leftovers
