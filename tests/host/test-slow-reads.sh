#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A server of a disk that answers, but slowly, holds the host for a minute and the
# time of one read, however many there are to be.
#
# slow

. "$(dirname "$0")/../lib/functions.sh"
requires python3

truncate -s 20M disk.img
"$top_srcdir/tests/lib/hostile-disk.py" partitions disk.img 1:8:250
start_server slow "exec $(printf '%q ' \
  "$top_srcdir/tests/lib/slow-nbd.py" "$tmp/disk.img" 5 0 $((20 * mib)) \
  "$tmp/asked")"
nbde_start --appliance=never -a "nbd://127.0.0.1:$TANG_PORT_slow" --list
nbde_wait 95
assert_status 1
assert_one_error 'the appliance is needed, .*: reading took more than 60 s'
assert_no_leftovers
