#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Servers are spared: no more requests at a time than --tang-parallel says, whatever -P
# is, and a preflight asks each server once for all guests.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq python3

# A server that counts, and takes 50 ms for each request; see counting-tang.py.
make_tang_keys "$tmp/keys"
setsid "$top_srcdir/tests/lib/counting-tang.py" counts 0.05 gate \
  "$(tang_program tangd)" "$tmp/keys" < /dev/null &
groups+=($!)
listens ()
{
  port=$(sed -n '1s/^port //p' counts 2>/dev/null)
  [ -n "$port" ]
}
wait_for 20 listens || fail 'no server'
TANG_URL_one=http://127.0.0.1:$port
bound_to one
guests_of a 32 one.luks list

# Requests so far of a kind, and the most at a time.
asked () { grep -cE "^$1 " counts || :; }
most () { tail -n "+$1" counts | awk '$3 > n { n = $3 } END { print n + 0 }'; }

before=$(asked 'GET /adv')
fleet preflight list "${ask[@]}" --state st -P 8
assert_status 0
assert_equal 32 "$(count_verdicts st preflight 'done')" 'preflight'
assert_equal $((before + 1)) "$(asked 'GET /adv')" 'advertisements'
assert_equal 0 "$(asked 'POST [^ ]*')" 'questions'

from=$(($(wc -l < counts) + 1))
fleet keys list "${ask[@]}" --state st -P 8 --tang-parallel 2
assert_status 0
assert_equal 32 "$(count_verdicts st keys 'done')" 'keys'
assert_equal 32 "$(asked 'POST [^ ]*')" 'questions'
assert_equal 2 "$(most "$from")" 'requests at a time'

# The server does count more when there are more.
from=$(($(wc -l < counts) + 1))
fleet keys list "${ask[@]}" --state st2 -P 8 --tang-parallel 8
assert_status 0
[ "$(most "$from")" -gt 2 ] || fail 'the server does not count'
