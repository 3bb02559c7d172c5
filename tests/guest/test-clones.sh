#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A disk and its copy in one run have the same UUIDs: both keys are recovered,
# both devices opened, under different names, with a warning.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
get_guests whole

start_tang one
bind whole root tang "$(tang_config one)"
cp --sparse=always whole.img clone.img
clevis_key whole root 1 key
{ cat key; echo; cat key; } > expected
uuid=$(luks_uuid whole root)

nbde --format=raw -a whole.img -a clone.img --tang-allow 127.0.0.1 -i \
  --output-keys keys
assert_status 0
assert_same_file expected keys
assert_stderr_matches 'warning: /dev/sdb: another device has the same UUID'
assert_stdout_matches "^ +Opened as: +/dev/mapper/luks-$uuid\$"
assert_stdout_matches "^ +Opened as: +/dev/mapper/luks-$uuid-2\$"
