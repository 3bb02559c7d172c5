#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A disk without LUKS: exit status 3 and an error that says so, whether it has
# a filesystem, garbage or nothing on it; nothing is written.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_appliance

gpt plain.img 16 data:1:8 || fail 'gpt'
truncate -s 8M zero.img
# Numbers that are not random, so that the test is the same each time.
head -c 4M < <(seq 1000000) > garbage.img

nbde --format=raw -a plain.img -a zero.img -a garbage.img --list --check -i \
  --output-keys keys
assert_status 3
assert_stderr_matches 'error: no LUKS device was found'
assert_no_file keys
