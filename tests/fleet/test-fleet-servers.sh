#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# alone
#
# One of twenty servers accepts and never answers: one guest finds that, those that
# need it wait, and the guests of the other nineteen take hardly longer.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq

servers=20 each=4
for ((i = 1; i <= servers; i++)); do
  start_tang s$i
  bound_to s$i
  guests_of s$i $each s$i.luks list
done
# In turn, as the guests of a site come.
sort -t - -k 2 -V list > turns

# Seconds until the last of the guests that are done.
measure ()
{
  local state=$1 begin
  shift
  last_command="fleet keys, $state"
  begin=$(date +%s%N)
  "$VIRT_NBDE_FLEET" keys turns "${ask[@]}" --state "$state" -P 4 \
    --machine-readable "$@" 2> "$err" |
    while IFS= read -r line; do
      case $line in
        *'"type": "guest"'*'"verdict": "done"'*) date +%s%N ;;
      esac
    done > "$state.times" || :
  milliseconds=$((($(tail -n 1 "$state.times") - begin) / 1000000))
}

# Both, with and without the server that hangs; sets all.
compare ()
{
  rm -rf all hung
  replace_server s7 start_tang
  measure all
  all=$milliseconds
  assert_equal $((servers * each)) "$(count_verdicts all keys 'done')" 'done'
  replace_server s7 start_blackhole
  measure hung --deadline 4 --tang-timeout 4 --retries 1
  assert_equal $(((servers - 1) * each)) \
    "$(count_verdicts hung keys 'done')" 'done'
  assert_equal $each "$(count_verdicts hung keys unreachable)" 'unreachable'
  echo "all servers: $all ms; without one: $milliseconds ms"
}

# What else the machine does may have been in the way of one of them.
for attempt in 1 2 3; do
  compare
  [ "$milliseconds" -gt $((all * 12 / 10)) ] || break
  [ $attempt -lt 3 ] ||
    fail "the others took $milliseconds ms, and $all ms with all servers"
done
# The guests of that server have not asked it one after the other.
assert_equal 2 "$(jq -s 'map (select (.event == "begin" and .action == "keys" and
    (.guest | startswith ("s7-")))) | length' hung/journal)" 'guests that asked it'
