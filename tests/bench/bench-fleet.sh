#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# virt-nbde-fleet with 500 guests and 20 Tang servers; beside it a loop of the shell
# over virt-nbde-unlock, and five guests with the appliance, from which 500 are
# reckoned.  And the memory of the parent with 5000 guests.
#
# BENCH_GUESTS    instead of 500
#
# timeout: 3600

. "$(dirname "$0")/common.sh"
. "$(dirname "$0")/../lib/fleet.sh"

requires_tang
requires qemu-img qemu-nbd
choose_appliance

servers=20
many=${BENCH_GUESTS:-500}
few=$((many / 10))

# An overlay for each server; its guests are copies of that.
for ((i = 0; i < servers; i++)); do
  start_tang s$i
  bound_to s$i
  qemu-img create -q -f qcow2 -b "$tmp/s$i.luks" -F raw s$i.qcow2
done
mkdir disks
for ((i = 0; i < many; i++)); do
  cp --sparse=always s$((i % servers)).qcow2 "disks/guest-$i.qcow2"
  printf '{"name": "guest-%d", "disks": [{"path": "%s", "format": "qcow2"}]}\n' \
    $i "$tmp/disks/guest-$i.qcow2"
done > many
head -n $few many > few
options=(--tang-allow 127.0.0.1)

# Each action of a fleet is a sample: NAME.list, NAME.preflight, NAME.keys.
#   fleet_samples NAME LIST
fleet_samples ()
{
  local action
  rm -rf "state.$1"
  for action in list preflight keys; do
    sample "$1.$action" "$VIRT_NBDE_FLEET" $action "$2" "${options[@]}" -q \
      --state "state.$1"
    [ "$(count_verdicts "state.$1" $action 'done')" = "$(wc -l < "$2")" ] ||
      fail "$action: not all are done"
  done
}
many_guests () { fleet_samples many many; }
few_guests () { fleet_samples few few; }

# The same as a recipe would have it.
loop ()
{
  local name disk
  mkdir -p keys
  while read -r name disk; do
    "$VIRT_NBDE_UNLOCK" -q --format=qcow2 -a "$disk" "${options[@]}" \
      --output-keys "keys/$name" --force --output-keys-format dir || return 1
  done
}
jq -r '"\(.name) \(.disks[0].path)"' many > many.lines
shell_loop () { sample loop loop_over many.lines; }
loop_over () { loop < "$1"; }

in_turn many_guests few_guests shell_loop

with_appliance ()
{
  local i
  for ((i = 0; i < 5; i++)); do
    "$VIRT_NBDE_UNLOCK" -q --appliance=always --format=qcow2 \
      -a "disks/guest-$i.qcow2" "${options[@]}" --output-keys "appliance.$i" ||
      return 1
  done
}
sample appliance with_appliance

# The memory of the parent, with guests that share their disks.
for ((i = 0; i < 5000; i++)); do
  printf '{"name": "guest-%d", "disks": [{"path": "%s", "format": "raw"}]}\n' \
    $i "$tmp/s$((i % servers)).luks"
done > thousands
# Of the highest that it ever had, the last that is seen.
"$VIRT_NBDE_FLEET" list thousands -q --state state.thousands \
  > thousands.out 2>&1 </dev/null &
parent=$!
groups+=("$parent")
while is_running $parent; do
  awk '/^VmHWM:/ { print $2 / 1024 }' /proc/$parent/status > hwm 2>/dev/null || :
  [ ! -s hwm ] || cp hwm parent.samples
  sleep 0.1
done
wait $parent || fail "$(cat thousands.out)"

echo '## A fleet'
table "$many guests, $servers servers"
row 'list' many.list 1 s
row 'preflight' many.preflight 1 s
row 'keys, after list' many.keys 1 s
row "list, $few guests" few.list 1 s
row "preflight, $few guests" few.preflight 1 s
row "keys, $few guests" few.keys 1 s
row "keys, a loop of the shell over virt-nbde-unlock" loop 1 s
row 'keys, five guests with --appliance=always' appliance 1 s
target "fleet of $many guests: list" "$(median many.list)" 'at most' 20 1 s
target "fleet of $many guests: preflight" "$(median many.preflight)" \
  'at most' 30 1 s
target "fleet of $many guests: keys" "$(median many.keys)" 'at most' 45 1 s
for action in list preflight keys; do
  target "$action: time of a guest among $many / among $few" \
    "$(median many.$action) / 10 / $(median few.$action)" 'at most' 1.2 2
done
printf '\na loop of the shell / the fleet: **%s**\n' \
  "$(number 1 "$(median loop) / $(median many.keys)")"
printf '\nwith the appliance, reckoned from five guests: **%s s**\n' \
  "$(number 0 "$(median appliance) * $many / 5")"
target 'memory of the parent with 5000 guests in LIST (VmHWM)' \
  "$(median parent)" 'at most' 64 1 MiB
