# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What the tests of virt-nbde-fleet have in common.  Sourced after functions.sh.
#
# shellcheck shell=bash

VIRT_NBDE_FLEET=${VIRT_NBDE_FLEET:-$top_builddir/nbde/fleet/virt-nbde-fleet}
[ -x "$VIRT_NBDE_FLEET" ] || fail "$VIRT_NBDE_FLEET was not built"

# Children are found in PATH.
export PATH=${VIRT_NBDE_UNLOCK%/*}:$PATH

# The servers of tests are on loopback, and nobody waits long for them.
ask=(--tang-allow 127.0.0.1 --pause 0.2 --retries 2)

# Run it as nbde does it: it leaves no process behind.
fleet ()
{
  mark_run
  run_command timeout --foreground --kill-after=10 200 \
    env "${marked[@]}" "$VIRT_NBDE_FLEET" "$@"
  assert_no_leftovers
}

# Start it in the background; sets fleet_pid.
fleet_start ()
{
  program_start "$VIRT_NBDE_FLEET" "$@"
  # shellcheck disable=SC2154
  fleet_pid=$program_pid
}

# A disk that is a LUKS device bound to a server, which must be started:
#   bound_to SERVER
# It is SERVER.luks.  Guests are copies of it, or overlays over it:
bound_to ()
{
  bound_piece "$1.luks" tang "$(tang_config "$1")"
}

# Guests NAME-1 ... NAME-N, raw copies of a disk, and their lines of LIST:
#   guests_of NAME N DISK LIST
guests_of ()
{
  local i
  for ((i = 1; i <= $2; i++)); do
    cp --sparse=always "$3" "$1-$i.img"
    printf '{"name": "%s", "disks": [{"path": "%s", "format": "raw"}]}\n' \
      "$1-$i" "$1-$i.img" >> "$4"
  done
}

# The verdict of a guest:  verdict STATE NAME ACTION
verdict ()
{
  jq -r .verdict "$1/guests/$2/$3.json"
}

assert_verdict ()
{
  assert_equal "$4" "$(verdict "$1" "$2" "$3")" "verdict of $2"
}

# How many guests have a verdict:  count_verdicts STATE ACTION VERDICT
count_verdicts ()
{
  find "$1/guests" -name "$2.json" -exec jq -r .verdict {} + | grep -cx "$3" || :
}

# All lines of the journal are JSON, and each try has one begin and one end.
assert_journal_whole ()
{
  local odd
  jq -e . "$1/journal" > /dev/null || fail 'a line of the journal is no JSON'
  odd=$(jq -r 'select (.event == "begin" or .event == "end") |
                 "\(.action) \(.guest) \(.try) \(.event)"' "$1/journal" |
          sort | uniq -c | awk '$1 != 1')
  assert_equal '' "$odd" 'what is more than once in the journal'
  odd=$(jq -r 'select (.event == "begin" or .event == "end") |
                 "\(.action) \(.guest) \(.try)"' "$1/journal" |
          sort | uniq -c | awk '$1 != 2')
  assert_equal '' "$odd" 'what was begun and not ended'
}
