#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The unlock step alone, against clevis-luks-unlock(1) in the appliance, as
# guestfs_clevis_luks_unlock runs it.  That appliance is an extended one,
# which is built here; it reaches the Tang server of this host through qemu.
#
# timeout: 3600

. "$(dirname "$0")/common.sh"

requires_appliance
requires_tang
requires supermin

bench_guests
extended_appliance || skip 'no supermin.d of libguestfs'
start_tang a
# The binding names the server as the appliance sees it.
# shellcheck disable=SC2154
url=http://$appliance_host:$TANG_PORT_a
curl -s "$TANG_URL_a/adv" > a.adv || fail 'no advertisement'
# Nothing but one LUKS device with a filesystem in it, since clevis is told
# where it is, and looks for no other.
# shellcheck disable=SC2154
cp "$digest" cheap.luks
bind_luks cheap.luks "$passphrase" tang \
  "$(jq -n --arg url "$url" --arg adv "$PWD/a.adv" '{url: $url, adv: $adv}')" ||
  fail 'the volume was not bound'
cp cheap.luks dear.luks
make_dear dear.luks
for name in cheap dear; do
  gpt $name.img 10 volume:1:8 || fail "no disk $name.img"
  put $name.luks $name.img 1
done

ours ()
{
  sample "whole-$1" "$VIRT_NBDE_UNLOCK" --format=raw -a "$1.img" \
    --tang-map "$url=$TANG_URL_a" --tang-allow 127.0.0.1 \
    --inspect --output-format=json
  jq -e '.devices[0].state == "opened"' "whole-$1.out" >/dev/null ||
    fail "$1.img was not opened"
  step_sample "ours-$1" "whole-$1.out" header exchange verify open
}
ours_cheap () { ours cheap; }
ours_dear () { ours dear; }

cat > inside.fish <<END
run
list-partitions
time debug sh "clevis luks unlock -d /dev/sda1 -n cheap"
time debug sh "clevis luks unlock -d /dev/sdb1 -n dear"
debug sh "cryptsetup status cheap && cryptsetup status dear"
END
theirs ()
{
  local i=0 seconds name
  sample whole-theirs env LIBGUESTFS_PATH="$extended" \
    LIBGUESTFS_CACHEDIR="$extended" \
    guestfish --ro --network --format=raw -a cheap.img --format=raw -a dear.img \
    -f inside.fish
  for name in cheap dear; do
    i=$((i + 1))
    seconds=$(sed -n 's/^elapsed time: \([0-9.]*\) seconds$/\1/p' \
                whole-theirs.out | sed -n ${i}p)
    [ -n "$seconds" ] || fail "no time of $name"
    echo "$seconds" >> "theirs-$name.samples"
  done
}

# The first launch builds the appliance.
env LIBGUESTFS_PATH="$extended" LIBGUESTFS_CACHEDIR="$extended" \
  guestfish -a /dev/null run : debug sh 'command -v clevis' > built 2>&1 ||
  { cat built >&2; fail 'the extended appliance does not work'; }
in_turn ours_cheap theirs ours_dear

echo '## The unlock step, against clevis in the appliance'
table 'from the header to the open device, whose digest is as luksFormat makes it'
row 'virt-nbde-unlock, cheap first keyslot' ours-cheap 2 s
row 'clevis luks unlock, cheap first keyslot' theirs-cheap 2 s
row 'virt-nbde-unlock, argon2id 1 GiB' ours-dear 2 s
row 'clevis luks unlock, argon2id 1 GiB' theirs-dear 2 s
target 'clevis in the appliance / virt-nbde-unlock, cheap first keyslot' \
  "$(median theirs-cheap) / $(median ours-cheap)" 'at least' 3 2
target 'clevis in the appliance / virt-nbde-unlock, argon2id 1 GiB' \
  "$(median theirs-dear) / $(median ours-dear)" 'at least' 10 1
for name in cheap dear; do
  title='cheap first keyslot'
  [ $name = cheap ] || title='argon2id 1 GiB'
  plot_data unlock "$title" "$(median theirs-$name)" "$(median ours-$name)"
done
