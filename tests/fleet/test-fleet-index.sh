#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --index N: one guest, with its own exit status, beside others in the same state
# folder, as an engine starts them.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq

start_tang one
start_tang gone
bound_to one
bound_to gone
piece bare
end_server gone
guests_of a 8 one.luks list
{
  echo '{"name": "down", "disks": [{"path": "gone.luks"}]}'
  echo '{"name": "bare", "disks": [{"path": "bare"}]}'
  echo '{"name": "none", "disks": [{"path": "nowhere.img"}]}'
} >> list

one ()
{
  fleet keys list "${ask[@]}" --state st --index "$1"
  assert_status "$2"
}

one 0 0
assert_stdout_matches '^a-1: done'
assert_equal a-1 "$(ls st/guests)" 'guests'
one 8 4
one 9 3
one 10 1
one 11 1
assert_stderr_has 'option --index: there is no guest 11, the last one is 10'

# Done is done, but who starts the others again wants that.
one 0 0
one 9 3
one 8 4
assert_equal 2 "$(jq .tries st/guests/down/keys.json)" 'tries'

# All at the same time.
pids=()
for ((i = 1; i < 8; i++)); do
  "$VIRT_NBDE_FLEET" keys list "${ask[@]}" --state st --index $i > "$i.out" 2>&1 &
  pids+=($!)
done
for pid in "${pids[@]}"; do
  wait "$pid" || fail "one of them: $(cat ./*.out)"
done
assert_equal 8 "$(count_verdicts st keys 'done')" 'done'
assert_journal_whole st

# The status of a command is that of the guest.
fleet run list "${ask[@]}" --state st --index 0 -- sh -c 'exit 4'
assert_status 1
assert_verdict st a-1 run command-failed

# One that is killed is completed by the next one.
fleet_start run list "${ask[@]}" --state st --index 1 -- sh -c 'touch begun; sleep 30'
wait_for 20 [ -e begun ] || fail 'the command does not begin'
kill -KILL "$fleet_pid"
wait "$fleet_pid" 2>/dev/null || :
fleet run list "${ask[@]}" --state st --index 1 -- true
assert_status 0
assert_equal 2 "$(jq .tries st/guests/a-2/run.json)" 'tries of a killed run'
assert_journal_whole st

# A whole run needs the folder for itself.
cat > until-told <<'END'
for ((i = 0; i < 600; i++)); do
  [ ! -e go ] || exit 0
  sleep 0.1
done
exit 1
END
fleet_start run list "${ask[@]}" --state st2 --index 0 -- bash until-told
wait_for 20 [ -s st2/journal ] || fail 'it does not begin'
fleet list list --state st2
assert_status 1
assert_stderr_has 'st2: another run works in it'
# The same guest is not done by two.
fleet run list "${ask[@]}" --state st2 --index 0 -- true
assert_status 1
assert_stderr_has 'a-1: another run works on this guest'
touch go
wait "$fleet_pid" || fail 'the first one'
fleet keys list "${ask[@]}" --state st2
assert_status 1
