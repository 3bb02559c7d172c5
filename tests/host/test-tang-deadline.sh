#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The time that servers may take: of one request, of a connection, and of the
# whole exchange, which never ends more than half a second late.
#
# alone

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"

start_tang one
start_tang two
start_blackhole hole
bound_to alone.luks one http://hole.invalid
bound_piece either.luks sss "{\"t\":1,\"pins\":{\"tang\":[
  $(config_at one http://hole.invalid),
  $(config_at two http://two.invalid)]}}"
bound_piece both.luks sss "{\"t\":2,\"pins\":{\"tang\":[
  $(config_at one http://hole.invalid),
  $(config_at two http://two.invalid)]}}"

ask ()
{
  unlock_file --map "hole.invalid=$TANG_URL_hole" \
    --map "two.invalid=$TANG_URL_two" "$@"
}

ask --deadline 1 --timeout 60 alone.luks
assert_refused 4 '^unreachable: .*within the deadline of 1 seconds'
assert_slower_than 1000
assert_faster_than 1500
ask --deadline 1 --timeout 60 both.luks
assert_refused 4 '^unreachable: .*within the deadline of 1 seconds'
assert_faster_than 1500

ask --timeout 1 --retries 0 alone.luks
assert_refused 4 '^unreachable: .*no whole reply within 1 seconds'
assert_faster_than 1500

# Timeouts are retried, but not beyond the deadline.
ask --timeout 0.5 --retries 50 --deadline 2 alone.luks
assert_refused 4 '^unreachable: '
assert_faster_than 2500

# The one that answers suffices.
ask --deadline 20 --timeout 20 either.luks
assert_opens either.luks
assert_faster_than 2000
