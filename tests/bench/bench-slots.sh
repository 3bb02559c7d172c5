#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A guest whose first keyslot is argon2id with 1 GiB of memory, as installers
# make it: opened by virt-nbde-unlock, against guestfish(1) with the
# passphrase.  Both at the default memory of libguestfs.
#
# timeout: 3600

. "$(dirname "$0")/common.sh"

requires_appliance
requires_tang

bench_guests
start_tang a
bind part-lvm root tang "$(tang_config a)"
offset=$(luks_field part-lvm root 4)
get_header part-lvm.img "$offset" header || fail 'no header'
make_dear header
put_header header part-lvm.img "$offset" || fail 'no header'
rm header
memsize=$(guestfish get-memsize)

ours ()
{
  sample ours "$VIRT_NBDE_UNLOCK" --format=raw -a part-lvm.img \
    --tang-allow 127.0.0.1 --memsize "$memsize" --inspect
}
with_passphrase ()
{
  guestfish --ro --format=raw -a part-lvm.img -i --keys-from-stdin \
    < passphrase.line
}
{ cat "$passphrase"; echo; } > passphrase.line
theirs ()
{
  sample theirs with_passphrase
}
in_turn ours theirs
grep -q 'Hostname: *part-lvm\.example\.com' ours.out ||
  fail 'the guest was not inspected'

echo '## First keyslot argon2id with 1 GiB'
table "whole process, appliance of $memsize MiB"
row 'virt-nbde-unlock --inspect' ours 2 s
row 'guestfish -i with the passphrase' theirs 2 s
target 'guestfish with the passphrase / virt-nbde-unlock, argon2id 1 GiB' \
  "$(median theirs) / $(median ours)" 'at least' 2.5 2
plot_data processes 'guestfish -i, argon2id' \
  "$(median theirs)" "$(lowest theirs)" "$(highest theirs)"
plot_data processes 'virt-nbde-unlock, argon2id' \
  "$(median ours)" "$(lowest ours)" "$(highest ours)"
