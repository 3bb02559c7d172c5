#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A fleet by a real Slurm, as docs/fleet/slurm says: guests that open, one whose
# server is away at first, one that fails until it is bound anew.  No more of them
# run at a time than there are licences.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/fleet.sh"
. "$top_srcdir/tests/lib/fleet-world.sh"
. "$top_srcdir/tests/lib/documents.sh"
. "$top_srcdir/tests/lib/slurm.sh"
requires_tang
requires jq munged python3 sbatch slurmctld slurmd mountpoint
mountpoint -q /sys/fs/cgroup || skip "slurmd needs /sys/fs/cgroup"

use_document slurm/README.md
cp "$top_srcdir/docs/fleet/slurm/virt-nbde-fleet.sbatch" .

# Two licences, to see them hold.
sed 's/^Licenses=.*/Licenses=tang:2/' "$top_srcdir/docs/fleet/slurm/slurm.conf" \
  > slurm.conf
grep -qx Licenses=tang:2 slurm.conf || fail 'slurm.conf has no licences'
start_slurm slurm.conf

start_tang one
start_tang away
fleet_world one away
bound_as tang one.luks
bound_as away away.luks
cp one.luks refused.luks
edit_jwe refused.luks '.clevis.tang.adv.keys = []'
# So slow that tasks would all run at the same time, if they could.
# shellcheck disable=SC2154
replace_server one start_server "sleep 1; exec $(tangd_command "$TANG_DIR_one")"
guests_of web 3 one.luks guests.list
guests_of away 1 away.luks guests.list
guests_of refused 1 refused.luks guests.list
end_server away

run_block submit
assert_status 0
assert_stdout_matches '^Submitted batch job [0-9]+$'
job=$(grep -o '[0-9]*$' "$out")
for task in 0 1 2; do
  wait_for_task "$job" $task 'COMPLETED None'
done
wait_for_task "$job" 3 'PENDING BeginTime'
wait_for_task "$job" 4 'SPECIAL_EXIT JobHeldUser'
run_block watch
assert_stdout_matches "^ *$job +3 +PENDING BeginTime\$"
assert_stdout_matches "^ *$job +4 +SPECIAL_EXIT JobHeldUser\$"
assert_verdict state away-1 keys unreachable
assert_verdict state refused-1 keys failed
assert_equal 3 "$(count_verdicts state keys 'done')" 'guests that are done'
for guest in web-1 web-2 web-3; do
  cryptsetup open --test-passphrase --key-file "state/keys/$guest/0" one.luks ||
    fail "the key of $guest is not one"
done

# As many at a time as there are licences, on a node with four processors.
most=$(jq -r 'select (.event == "begin" or .event == "end") | .event' \
         state/journal |
         awk '{ n += $1 == "begin" ? 1 : -1; if (n > most) most = n }
              END { print most }')
assert_equal 2 "$most" 'tasks at a time'

# The server comes back.
replace_server away start_tang
run_block restart
assert_status 0
wait_for_task "$job" 3 'COMPLETED None'
assert_verdict state away-1 keys 'done'

# The guest is repaired.
cp one.luks refused-1.img
run_block release
assert_status 0
wait_for_task "$job" 4 'COMPLETED None'
assert_equal 5 "$(count_verdicts state keys 'done')" 'guests that are done'
assert_journal_whole state
grep -q '^refused-1: failed: ' "virt-nbde-fleet-${job}_4.log" ||
  fail 'the log of a task does not say why'

run_block report
assert_status 0
assert_stdout_has refused-1
grep -qi '</html>' report.html || fail 'there is no report'
all_executed
