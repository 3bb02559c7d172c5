#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Engines start many runs of single guests at the same moment.  They may do so in a
# state folder that is not there yet: none of them takes it for somebody else's.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/fleet.sh"
requires jq

piece bare.luks
guests_of bare 4 bare.luks guests.list
for round in {1..20}; do
  runs=()
  for index in {0..3}; do
    "$VIRT_NBDE_FLEET" list guests.list --state "state-$round" --index "$index" \
      > "$index.out" 2>&1 &
    runs+=("$!")
  done
  for index in {0..3}; do
    status=0
    wait "${runs[index]}" || status=$?
    # They have no binding.
    [ "$status" -eq 3 ] ||
      fail "round $round, guest $index: status $status: $(cat "$index.out")"
  done
  assert_equal 4 "$(count_verdicts "state-$round" list unbound)" 'guests'
  assert_journal_whole "state-$round"
done

# A folder that is somebody else's is still found out.
mkdir other
: > other/picture
fleet list guests.list --state other --index 0
assert_status 1
assert_stderr_has 'no state folder of this program'
