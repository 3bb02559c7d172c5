#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What more LUKS devices in one guest cost, in time and memory, against
# cryptsetup_open with the passphrase on the devices' own headers, whose
# keyslots are cheap.
#
# BENCH_DEVICES   numbers of devices (1 2 4 8)
# BENCH_MOST      devices of one run more (48), for the memory; their keys are
#                 recovered, but they are not opened, which takes minutes
#
# timeout: 3600

. "$(dirname "$0")/common.sh"

requires_appliance
requires_tang
peak_memory=$top_builddir/tests/bench/peak-memory
[ -x "$peak_memory" ] || fail "$peak_memory was not built: run make check TESTS="

read -ra numbers <<< "${BENCH_DEVICES:-1 2 4 8}"
most=${BENCH_MOST:-48}
first=${numbers[0]}
last=${numbers[-1]}

bench_guests
start_tang a
# shellcheck disable=SC2154
cp "$volume" volume.luks
bind_luks volume.luks "$passphrase" tang "$(tang_config a)" ||
  fail 'the volume was not bound'

#   make_disk NUMBER
make_disk ()
{
  local i start=1 parts=()
  for ((i = 1; i <= $1; i++, start += 8)); do
    parts+=("v$i:$start:8")
  done
  gpt "disk$1.img" $((start + 1)) "${parts[@]}" || fail "no disk of $1"
  for ((i = 1; i <= $1; i++)); do
    cp volume.luks piece
    cryptsetup luksUUID -q --uuid "$(uuid_of "volume$i")" piece || fail 'UUID'
    put piece "disk$1.img" $((i * 8 - 7))
  done
  rm piece
}
for n in "${numbers[@]}" $most; do
  make_disk "$n"
done

# The largest size that the process had, without qemu, which is its child.
# Read until it ends: it only grows, and most of the time it waits.
#   peak PID
peak ()
{
  local line kib=0
  while read -r line < <(grep -s '^VmHWM:' "/proc/$1/status"); do
    read -r _ kib _ <<< "$line"
    sleep 0.2
  done
  echo "$kib"
}

#   all_are NUMBER STATE
all_are ()
{
  local count
  count=$(jq --arg state "$2" \
            '[.devices[] | select(.state == $state)] | length' ours.out)
  assert_equal "$1" "$count" "devices that are $2"
}

#   ours NUMBER
ours ()
{
  local process
  "$VIRT_NBDE_UNLOCK" --format=raw -a "disk$1.img" --tang-allow 127.0.0.1 \
    --inspect --output-format=json > ours.out 2> ours.err </dev/null &
  process=$!
  peak $process >> "memory-$1.samples"
  wait $process || { cat ours.err >&2; fail "$1 devices"; }
  all_are "$1" opened
  # All but open and rescan are done on the host, before the launch.
  step_sample "unlock-$1" ours.out \
    discover header exchange verify open rescan
  jq .timings.total ours.out >> "whole-$1.samples"
}

# Recover keys, for which no appliance is launched: that is over before peak has
# looked twice.
#   recover NUMBER
recover ()
{
  "$peak_memory" peaks "$VIRT_NBDE_UNLOCK" --format=raw -a "disk$1.img" \
    --tang-allow 127.0.0.1 --check --output-format=json \
    > ours.out 2> ours.err </dev/null ||
    { cat ours.err >&2; fail "$1 devices"; }
  all_are "$1" recovered
  head -n 1 peaks | cut -d' ' -f1 >> "memory-$1.samples"
}

{
  printf 'run\nlist-partitions\n'
  for ((i = 1; i <= last; i++)); do
    printf 'time cryptsetup-open /dev/sda%d v%d\n' "$i" "$i"
    cat "$passphrase"
    echo
  done
} > plain.fish
plain ()
{
  sample opens guestfish --ro --format=raw -a "disk$last.img" \
    --keys-from-stdin -f plain.fish
  sed -n 's/^elapsed time: \([0-9.]*\) seconds$/\1/p' opens.out > opens
  [ "$(wc -l < opens)" -eq "$last" ] || fail 'not all were opened'
  cat opens >> open.samples
  # The first one also loads modules of the kernel.
  tail -n +2 opens >> further.samples
  awk '{ sum += $1; print NR, sum }' opens >> plain.sums
}
functions=(plain)
for n in "${numbers[@]}"; do
  eval "ours_$n () { ours $n; }"
  functions+=("ours_$n")
done
in_turn "${functions[@]}"
recover "$most"

echo '## More devices in one guest'
table 'steps discover to rescan of virt-nbde-unlock'
for n in "${numbers[@]}"; do
  row "$n LUKS devices" "unlock-$n" 2 s
done
table 'whole process'
for n in "${numbers[@]}"; do
  row "$n LUKS devices" "whole-$n" 2 s
done
table 'cryptsetup_open by guestfish with the passphrase'
row 'every device after the first' further 2 s
slope="($(median "unlock-$last") - $(median "unlock-$first")) / ($last - $first)"
target 'each further device / cryptsetup_open of one' \
  "$slope / $(median further)" 'at most' 1.2 2

printf '\n## Memory of the process, without qemu\n'
table 'at most'
for n in "${numbers[@]}"; do
  row "$n LUKS devices" "memory-$n" 0 KiB
  plot_data memory "$n" "$(median "memory-$n")"
done
row "$most LUKS devices, keys recovered only" "memory-$most" 0 KiB
for n in "${numbers[@]}"; do
  grep "^$n " plain.sums | cut -d' ' -f2 > "sum-$n.samples"
  plot_data growth "$n" "$(median "unlock-$n")" "$(median "sum-$n")"
done
