#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A server that accepts and never answers costs nothing where another one
# suffices: with two tokens of which one names it, the unlock takes no more
# than 1.2 times the time that it takes with both servers alive.
#
# The exchange is measured by itself, since the launch of an appliance takes a
# hundred times as long; then the tool is run on such devices.
#
# needs: appliance
# alone

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
exchange=$top_builddir/tests/bench/header-to-key
[ -x "$exchange" ] || skip "$exchange was not built: make check TESTS="

start_tang one
start_tang two
start_tang hole

# A device with two tokens:  two_tokens FILE SERVER SERVER
two_tokens ()
{
  bound_piece "$1" tang "$(tang_config "$2")"
  bind_luks "$1" passphrase tang "$(tang_config "$3")" ||
    fail "cannot bind $1 again"
}
two_tokens alive.luks one two
# The black hole is the first token, or the second.
two_tokens first.luks hole one
two_tokens second.luks one hole
clevis_pass first.luks 2 first.key
clevis_pass second.luks 1 second.key
replace_server hole start_blackhole

# The time of one exchange, in microseconds, to a file:  measure NAME
measure ()
{
  local start=$EPOCHREALTIME
  "$exchange" -a 127.0.0.1 "$1.luks" > key 2> "$err" ||
    fail "$exchange does not unlock $1.luks"
  echo $((${EPOCHREALTIME/[.,]/} - ${start/[.,]/})) >> "$1.times"
}

median ()
{
  sort -n "$1.times" | sed -n "$(($(wc -l < "$1.times") / 2 + 1))p"
}

# Side by side, so that whatever else the machine does befalls all alike.
for _ in $(seq 25); do
  measure alive
  measure first
  measure second
done
alive=$(median alive)
for name in first second; do
  time=$(median "$name")
  echo "both alive: $alive us; black hole $name: $time us"
  [ $((time * 10)) -le $((alive * 12)) ] ||
    fail "black hole $name: $time us, both alive: $alive us"
done
[ "$(connections hole)" -ge 25 ] || fail 'the black hole was not asked'
# It ends by printing the key and a newline.
{ cat second.key; echo; } | cmp - key || fail 'another key was recovered'

# The tool: far below the 10 seconds that a request may take.
disk_of disk.img alive.luks first.luks second.luks
nbde --format=raw -a disk.img --tang-allow 127.0.0.1 --check
assert_status 0
assert_stdout_matches "^/dev/sda1 .*: token [01], keyslot [12], http"
assert_stdout_matches "^/dev/sda2 .*: token 1, keyslot 2, $TANG_URL_one"
assert_stdout_matches "^/dev/sda3 .*: token 0, keyslot 1, $TANG_URL_one"
while read -r time; do
  [ "${time%.*}" -lt 5 ] || fail "an exchange took $time s"
done < <(sed -n 's/^\/dev\/sda.*, \([0-9.]*\) s$/\1/p' "$out")
