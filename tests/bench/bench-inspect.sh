#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What encryption costs: a bound guest inspected by virt-nbde-unlock, against
# the same guest without encryption inspected by guestfish(1).
#
# timeout: 3600

. "$(dirname "$0")/common.sh"

requires_appliance
requires_tang

bench_guests
start_tang a
bind part-lvm root tang "$(tang_config a)"
before=$(sha256sum < part-lvm.img)

ours ()
{
  sample ours "$VIRT_NBDE_UNLOCK" --format=raw -a part-lvm.img \
    --tang-allow 127.0.0.1 --inspect
}
# Which has more in it, and the steps.
document ()
{
  sample document "$VIRT_NBDE_UNLOCK" --format=raw -a part-lvm.img \
    --tang-allow 127.0.0.1 --inspect --output-format=json
  all_steps document document.out
}
# shellcheck disable=SC2154
theirs ()
{
  sample theirs guestfish --ro --format=raw -a "$plain" -i
}
# With an appliance like guestfish's: no network, and the default memory.
memsize=$(guestfish get-memsize)
alike ()
{
  sample alike "$VIRT_NBDE_UNLOCK" --format=raw -a part-lvm.img \
    --tang-allow 127.0.0.1 --no-network --memsize "$memsize" --inspect
}
in_turn ours theirs alike document

jq -e '.operating_systems[0].hostname == "part-lvm.example.com" and
       .devices[0].state == "opened" and .reason == "--inspect"' document.out \
  >/dev/null || fail 'the guest was not inspected'
grep -q 'Hostname: *part-lvm\.example\.com' alike.out ||
  fail 'the guest was not inspected without a network'
[ "$(sha256sum < part-lvm.img)" = "$before" ] || fail 'the disk has changed'

echo '## Inspection, with and without encryption'
table 'whole process'
row 'virt-nbde-unlock --inspect, bound guest' ours 2 s
row 'virt-nbde-unlock --inspect --output-format=json' document 2 s
row 'virt-nbde-unlock --inspect, with an appliance like that of guestfish' alike 2 s
row 'guestfish -i, the same guest unencrypted' theirs 2 s
target 'bound guest / unencrypted guest' \
  "$(median ours) / $(median theirs)" 'at most' 1.15 2
target 'the same, with an appliance like that of guestfish' \
  "$(median alike) / $(median theirs)" 'at most' 1.08 2
plot_data processes 'guestfish -i, unencrypted' \
  "$(median theirs)" "$(lowest theirs)" "$(highest theirs)"
plot_data processes 'virt-nbde-unlock' \
  "$(median ours)" "$(lowest ours)" "$(highest ours)"

printf '\n### Where the time of virt-nbde-unlock goes\n'
steps_table document
