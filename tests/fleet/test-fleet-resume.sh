#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A run that is started again goes on: what is done is done, what could not be
# reached is tried again, what failed waits for --retry-failed.  ^C ends a run
# cleanly.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq

start_tang one
start_tang two
bound_to one
bound_to two
guests_of a 3 one.luks list
guests_of b 3 two.luks list
echo '{"name": "none", "disks": [{"path": "nowhere.img"}]}' >> list

# The tries of a guest.
tries ()
{
  jq .tries "st/guests/$1/keys.json"
}

end_server two
fleet keys list "${ask[@]}" --tang-retries 0 --state st
assert_status 1
assert_equal 3 "$(count_verdicts st keys 'done')" 'done'
assert_equal 3 "$(count_verdicts st keys unreachable)" 'unreachable'
assert_verdict st none keys error
# One has found that for all: it was tried three times, the others not at all.
assert_equal '3 0 0' "$(tries b-1) $(tries b-2) $(tries b-3)" 'tries'
jq -e '.exit_status == null and (.errors[0] | contains ("not tried"))' \
  st/guests/b-3/keys.json > /dev/null || fail 'the record of b-3'
assert_journal_whole st

start_tang two "$TANG_PORT_two"
fleet keys list "${ask[@]}" --state st
assert_status 1
assert_equal 6 "$(count_verdicts st keys 'done')" 'done'
assert_equal '1 1 4 1' \
  "$(tries a-1) $(tries none) $(tries b-1) $(tries b-2)" 'tries'
assert_stdout_matches '^none: error \(in an earlier run\): '
assert_stdout_lacks 'a-1: '

# What failed, when it is wanted.
cp --sparse=always one.luks nowhere.img
fleet keys list "${ask[@]}" --state st
assert_status 1
fleet keys list "${ask[@]}" --state st --retry-failed
assert_status 0
assert_equal 2 "$(tries none)" 'tries'
assert_stderr_has '7 guests, keys: 7 done (6 in earlier runs)'

# Another disk of the same name is another guest.
cp --sparse=always one.luks other.img
sed 's/a-2.img/other.img/' list > other-list
fleet keys other-list "${ask[@]}" --state st
assert_status 0
assert_equal 'a-2' "$(cut -d : -f 1 "$out")" 'what was done again'

# Half files of a run that was killed count for nothing and are removed.
echo half > st/guests/a-1/.virt-nbde-unlock-1
mkdir st/keys/.virt-nbde-unlock-2
printf '{"time": "2026-11-28T17:00:00Z", "eve' >> st/journal
rm st/guests/a-3/keys.json
fleet keys other-list "${ask[@]}" --state st
assert_status 0
assert_equal 'a-3' "$(cut -d : -f 1 "$out")" 'what was done again'
assert_equal '' "$(find st -name '.*')" 'unfinished'
assert_journal_whole st

# A record that is damaged is none.
head -c 100 st/guests/a-3/keys.json > half
cp half st/guests/a-3/keys.json
fleet keys other-list "${ask[@]}" --state st
assert_status 0
assert_equal 'a-3' "$(cut -d : -f 1 "$out")" 'what was done again'

# ^C and SIGTERM: children are ended, and nothing of them counts.
cat > slow <<'END'
#!/bin/bash
echo $$ >> started
exec sleep 60
END
chmod +x slow
for signal in INT TERM; do
  : > started
  mark_run
  last_command="fleet run, SIG$signal"
  env --default-signal=INT "${marked[@]}" "$VIRT_NBDE_FLEET" \
    run list "${ask[@]}" --state "st-$signal" -P 2 -- ./slow \
    > "$out" 2> "$err" < /dev/null &
  fleet_pid=$!
  two_have_started () { [ "$(wc -l < started)" -ge 2 ]; }
  wait_for 20 two_have_started || fail 'nothing starts'
  kill -$signal $fleet_pid
  status=0
  wait $fleet_pid || status=$?
  [ $status -gt 128 ] || fail 'it does not end by the signal'
  assert_stderr_has 'virt-nbde-fleet: error: interrupted'
  assert_stderr_has 'The same command goes on'
  assert_no_leftovers
  assert_equal 2 "$(wc -l < started)" 'started'
  assert_equal '' "$(find "st-$signal/guests" -name run.json)" 'records'
  fleet run list "${ask[@]}" --state "st-$signal" -- true
  assert_status 0
  assert_journal_whole "st-$signal"
done

# A guest that takes too long is ended, and not tried again by this run.
fleet run list "${ask[@]}" --state st-late --timeout 0.7 -P 7 -- ./slow
assert_status 1
assert_equal 7 "$(grep -l 'it took too long' st-late/guests/*/run.json | wc -l)" \
  'ended'
assert_equal 7 "$(jq -s 'map (select (.event == "begin" and .action == "run")) |
                         length' st-late/journal)" 'tries'
