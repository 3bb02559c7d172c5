#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A server that accepts and never answers costs nothing where another one
# suffices: with two tokens of which one names it, a device is unlocked in no
# more than 1.2 times the time of one whose servers are both alive.
#
# Nine devices of each kind, side by side in one exchange; medians are
# compared, with what the clock of the report cannot show (0.02 s) added.
#
# needs: appliance
# alone

. "$(dirname "$0")/functions.sh"
requires_tang
requires_appliance

start_tang one
start_tang two
start_tang hole

files=()
for i in $(seq 9); do
  bound_piece "alive$i.luks" tang "$(tang_config one)"
  bind_luks "alive$i.luks" passphrase tang "$(tang_config two)" || exit 1
  # The black hole is the first token as often as the second.
  servers=(hole one)
  [ $((i % 2)) -eq 0 ] || servers=(one hole)
  bound_piece "hole$i.luks" tang "$(tang_config "${servers[0]}")"
  bind_luks "hole$i.luks" passphrase tang "$(tang_config "${servers[1]}")" ||
    exit 1
  files+=("alive$i.luks" "hole$i.luks")
done
replace_server hole start_blackhole
disk_of disk.img "${files[@]}"

# The median of the times of every second line.
#   median FIRST
median ()
{
  sed -n 's/^\/dev\/sda.*, \([0-9.]*\) s$/\1/p' "$out" |
    awk -v first="$1" 'NR % 2 == first % 2' | sort -n | sed -n 5p
}

nbde --format=raw -a disk.img --tang-allow 127.0.0.1 --check
assert_status 0
assert_equal 18 "$(grep -c ' token [01], keyslot [12], http' "$out")" \
  'devices whose keys were recovered'
[ "$(connections hole)" -ge 5 ] || fail 'the black hole was not asked'

alive=$(median 1)
hole=$(median 2)
echo "medians: both alive $alive s, one a black hole $hole s"
awk -v a="$alive" -v h="$hole" 'BEGIN { exit !(h <= 1.2 * a + 0.02) }' ||
  fail "black hole: $hole s, both alive: $alive s"
# The longest of all is far from the time that a request may take (10 s).
longest=$(sed -n 's/^\/dev\/sda.*, \([0-9.]*\) s$/\1/p' "$out" | sort -n |
            tail -n 1)
awk -v t="$longest" 'BEGIN { exit !(t < 5) }' || fail "longest: $longest s"
