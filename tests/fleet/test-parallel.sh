#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The recipe of docs/fleet/parallel.md, by a real GNU parallel.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/fleet.sh"
. "$top_srcdir/tests/lib/fleet-world.sh"
. "$top_srcdir/tests/lib/documents.sh"
requires_tang
requires jq parallel

use_document parallel.md
# It asks to be cited, once.
export HOME=$tmp
mkdir .parallel
: > .parallel/will-cite

start_tang one
start_tang away
fleet_world one away
bound_as tang one.luks
bound_as away away.luks
cp one.luks refused.luks
edit_jwe refused.luks '.clevis.tang.adv.keys = []'
echo '# guests' > guests.list
guests_of web 3 one.luks guests.list
guests_of refused 1 refused.luks guests.list
guests_of away 1 away.luks guests.list
jq -c '.options = ["--tang-allow", "away.example.com"]' \
  <<< "$(tail -n 1 guests.list)" > away.line
sed -i '$d' guests.list
cat away.line >> guests.list
end_server away

run_block keys
assert_status 2
assert_equal 3 "$(count_verdicts state keys 'done')" 'guests that are done'
assert_verdict state away-1 keys unreachable
assert_verdict state refused-1 keys failed

replace_server away start_tang
run_block again
assert_status 0
assert_stdout_has 'away-1: done'
assert_equal 4 "$(count_verdicts state keys 'done')" 'guests that are done'
assert_equal 1 "$(jq -r 'select (.event == "begin" and .action == "keys" and
                                 .guest == "refused-1") | .try' state/journal |
                    wc -l)" 'tries of the guest that failed for good'
assert_journal_whole state
run_block report
assert_status 0
assert_stdout_has refused-1
all_executed
