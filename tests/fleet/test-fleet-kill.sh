#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A run is killed at a random moment, parent and children, and started again, fifty
# times: every guest is done once, and the journal is whole.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq

start_tang one
bound_to one
clevis_pass one.luks 1 one.key
guests_of a 20 one.luks list
# What is killed on purpose cleans nothing up.
assert_no_leftovers () { :; }

# The processes of a run, which have its mark.
kill_all ()
{
  local process
  kill -KILL "$fleet_pid" 2>/dev/null || :
  # Now and then children as well, in any order.
  if [ $((RANDOM % 2)) -eq 0 ]; then
    for process in $(run_processes); do
      kill -KILL "$process" 2>/dev/null || :
    done
  fi
  wait "$fleet_pid" 2>/dev/null || :
  # They end with their parent, and quickly.
  wait_for 10 no_run_processes || fail 'children outlive their parent'
}

# Each file is whole.
assert_files_whole ()
{
  local file
  shopt -s nullglob
  jq -es 'all (.verdict != null)' st/guests/*/*.json /dev/null > /dev/null ||
    fail 'a record is not whole'
  for file in st/keys/*/0; do
    [ "$(< "$file")" = "$(< one.key)" ] || fail "$file is not whole"
  done
  shopt -u nullglob
}

kills=0
total=0
while [ $kills -lt 50 ]; do
  fleet_start keys list "${ask[@]}" --state st
  printf -v moment '0.%02d' $((RANDOM % 45 + 3))
  sleep "$moment"
  if is_running "$fleet_pid"; then kills=$((kills + 1)); fi
  kill_all
  assert_files_whole
  if [ -d st/guests ]; then
    now=$(count_verdicts st keys 'done')
    [ "$now" -ge "$total" ] || fail "$now are done, $total were"
    total=$now
    # All are done: from the beginning.
    if [ "$total" -eq 20 ]; then
      fleet keys list "${ask[@]}" --state st
      assert_status 0
      rounds=${rounds-}x
      mv st "st-$rounds"
      total=0
    fi
  fi
done
fleet keys list "${ask[@]}" --state st
assert_status 0
assert_equal 20 "$(count_verdicts st keys 'done')" 'done'
assert_files_whole

for state in st st-*; do
  [ -d "$state" ] || continue
  assert_journal_whole "$state"
  # Done once, whatever was killed.
  odd=$(jq -r 'select (.event == "end" and .action == "keys" and
                       .verdict == "done") | .guest' "$state/journal" |
          sort | uniq -c | awk '$1 != 1')
  assert_equal '' "$odd" 'done more than once'
  assert_equal 20 "$(jq -r 'select (.event == "end" and .action == "keys" and
                       .verdict == "done") | .guest' "$state/journal" |
                       wc -l)" 'done'
done

# A command of a run that was killed is not done beside the one of the next run, nor
# does it go on by itself.
cat > slowly <<'END'
#!/bin/bash
echo "begin $1" >> commands
for ((i = 0; i < 600; i++)); do
  [ ! -e go ] || break
  sleep 0.1
done
echo "end $1" >> commands
END
chmod +x slowly
: > commands
head -n 4 list > short-list
fleet_start run short-list "${ask[@]}" --state st -P 4 -- ./slowly '{name}'
have_begun () { [ "$(grep -c begin commands)" -eq "$1" ]; }
wait_for 20 have_begun 4 || fail 'no command begins'
kill -KILL "$fleet_pid"
wait "$fleet_pid" 2>/dev/null || :
fleet_start run short-list "${ask[@]}" --state st -P 4 -- ./slowly '{name}'
wait_for 20 have_begun 8 || fail 'no command begins again'
touch go
wait "$fleet_pid" || fail "the second run: $(cat "$err")"
assert_no_leftovers
ends=$(sort commands | grep end | uniq -c | awk '{ print $1 }' | xargs)
assert_equal '1 1 1 1' "$ends" 'ends of commands'

# The check of the journal can fail.
tail -n 3 st/journal | head -n 1 > line
cat line >> st/journal
assert_fails assert_journal_whole st
