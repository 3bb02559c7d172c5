#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The exchange is made on the host: without a network in the appliance it
# works just the same.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
get_guests part-lvm

start_tang one
bind part-lvm root tang "$(tang_config one)"
uuid=$(luks_uuid part-lvm root)

nbde --format=raw -a part-lvm.img --tang-allow 127.0.0.1 --no-network -v -i \
  --output-keys keys
assert_status 0
assert_stderr_has ' -initrd '
! grep -q -e '-netdev' "$err" || fail '--no-network gives a network'
assert_stdout_matches '^ +Hostname: +part-lvm\.example\.com$'
assert_stdout_matches "^ +Opened as: +/dev/mapper/luks-$uuid\$"
assert_stdout_matches "^ +Server: +$TANG_URL_one\$"
clevis_key part-lvm root 1 expected
assert_same_file expected keys
