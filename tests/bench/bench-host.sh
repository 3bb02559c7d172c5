#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What needs no appliance: keys, list and preflight of a guest, whole processes;
# against the same with the appliance, and a bare request by curl.  And the
# memory that it takes.
#
# timeout: 3600

. "$(dirname "$0")/common.sh"

requires_appliance
requires_tang
requires hyperfine curl qemu-img qemu-nbd

peak_memory=$top_builddir/tests/bench/peak-memory
[ -x "$peak_memory" ] || fail "$peak_memory was not built: run make check TESTS="

get_guests part-lvm
start_tang a
bind part-lvm root tang "$(tang_config a)"
qemu-img convert -O qcow2 part-lvm.img base.qcow2
qemu-img create -q -f qcow2 -b base.qcow2 -F qcow2 part-lvm.qcow2 \
  > create.log || fail 'no image'

# Command lines for hyperfine.
raw="$VIRT_NBDE_UNLOCK --format=raw -a part-lvm.img --tang-allow 127.0.0.1"
qcow2="$VIRT_NBDE_UNLOCK --format=qcow2 -a part-lvm.qcow2 --tang-allow 127.0.0.1"
keys='--output-keys keys --force'
list="$VIRT_NBDE_UNLOCK --format=raw -a part-lvm.img --list"

# None of what is measured as such launches an appliance, and all of it works:
#   works_on_host JQ-EXPRESSION COMMAND...
works_on_host ()
{
  run_command "${@:2}" --output-format=json
  assert_status 0
  jq -e ".looked_from == \"host\" and ($1)" "$out" >/dev/null ||
    fail "${*:2}: $(cat "$out")"
}
opened='.devices[0].state == "opened"'
# shellcheck disable=SC2086
{
  works_on_host "$opened" $raw $keys
  mv keys keys.raw
  works_on_host "$opened" $qcow2 $keys
  cmp keys keys.raw || fail 'the keys differ'
  works_on_host '.devices[0].luks.tokens | length == 1' $list
  works_on_host '.devices[0].preflight | startswith("opens")' $raw --preflight
}

# A key file is on disk when the tool ends.  What the appliance has left to be
# written must not be waited for then.
always ()
{
  # shellcheck disable=SC2086
  sample always $raw --appliance=always --output-keys keys.always --force
  sync -f .
}
auto ()
{
  short_samples auto $(((runs + 2) / 3)) "$raw $keys"
}
in_turn auto always
cmp keys.always keys.raw || fail 'the keys differ'

# shellcheck disable=SC2154
short_in_turn "$runs" \
  qcow2 "$qcow2 $keys" \
  list "$list" \
  preflight "$raw --preflight" \
  advertisement "curl -s -o /dev/null $TANG_URL_a/adv" \
  curl 'curl --version' \
  start "$VIRT_NBDE_UNLOCK --version"

# Samples NAME.PROCESS, in MiB; sum is that of the program, the vault and
# qemu-nbd.  The first process is the program.  Its janitor and the nursery only
# wait, in memory that is nearly all the program's.
#   memory NAME COMMAND...
memory ()
{
  local part
  "$peak_memory" peaks "${@:2}" > memory.out 2> memory.err </dev/null ||
    { cat memory.err >&2; fail "${*:2}"; }
  sed -i '1s/ .*/ program/' peaks
  for part in program nbde-vault qemu-nbd together; do
    awk -v part=$part '$2 == part { print $1 / 1024 }' peaks \
      >> "$1.$part.samples"
  done
  awk '/ (program|nbde-vault|qemu-nbd)$/ { sum += $1 }
       END { print sum / 1024 }' peaks >> "$1.sum.samples"
}
# shellcheck disable=SC2086
for ((i = 0; i < rounds; i++)); do
  memory raw $raw $keys
  memory image $qcow2 $keys
done
[ "$(wc -l < image.qemu-nbd.samples)" -eq "$rounds" ] ||
  fail 'qemu-nbd was not seen'

echo '## Without an appliance'
table 'whole process'
row '--output-keys, raw disk' auto 1 ms
row '--output-keys, qcow2 with a backing file' qcow2 1 ms
row '--list, raw disk' list 1 ms
row '--preflight, raw disk, one server' preflight 1 ms
row 'the advertisement of that server by curl' advertisement 1 ms
row 'curl without a request' curl 1 ms
row 'virt-nbde-unlock --version' start 1 ms
row '--output-keys --appliance=always, raw disk' always 2 s
target '--output-keys of a raw disk' "$(median auto)" 'at most' 60 1 ms
target '--output-keys with --appliance=always / without an appliance' \
  "1000 * $(median always) / $(median auto)" 'at least' 100 0
target '--output-keys of a qcow2 image with a backing file' \
  "$(median qcow2)" 'at most' 90 1 ms
target '--list of a raw disk' "$(median list)" 'at most' 30 1 ms
printf '\n--preflight / the advertisement by curl: **%s**\n' \
  "$(number 2 "$(median preflight) / $(median advertisement)")"
own="$(median preflight) - $(median start)"
server="$(median advertisement) - $(median curl)"
printf '\nthe same, each without its start: **%s**\n' \
  "$(number 2 "($own) / ($server)")"

printf '\n### Memory\n'
table '--output-keys, at most (VmHWM)'
row 'program, raw disk' raw.program 1 MiB
row 'vault, raw disk' raw.nbde-vault 1 MiB
row 'program, qcow2 with a backing file' image.program 1 MiB
row 'vault, the same' image.nbde-vault 1 MiB
row 'qemu-nbd, the same' image.qemu-nbd 1 MiB
row 'sum of these three, shared pages in each' image.sum 1 MiB
row 'all processes at once, shared pages once (Pss)' image.together 1 MiB
target 'memory of all processes, qemu-nbd among them (Pss)' \
  "$(median image.together)" 'at most' 48 1 MiB
