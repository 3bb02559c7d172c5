#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Every binding in every place: {LUKS1, LUKS2} x {tang, sss 1 of 2, sss 2 of 3
# with one server dead, nested sss, two tokens, null} x {whole disk, partition,
# logical volume, MD array}.  Each of the 48 devices is opened, and its key is
# the one that clevis prints.
#
# needs: appliance
# timeout: 1500

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires luksmeta
requires_appliance

start_tang a
start_tang b
start_tang dead
a=$(tang_config a) b=$(tang_config b) dead=$(tang_config dead)
printf %s 'of the matrix' > passphrase

# What each binding is bound to: PIN CONFIG, several of them one after another.
declare -A bindings=(
  [tang]="tang $a"
  [one-of-two]="sss {\"t\":1,\"pins\":{\"tang\":[$a,$dead]}}"
  [two-of-three]="sss {\"t\":2,\"pins\":{\"tang\":[$a,$dead,$b]}}"
  [nested]="sss {\"t\":2,\"pins\":{\"tang\":$a,\"sss\":{\"t\":1,\"pins\":{\"tang\":[$dead,$b]}}}}"
  [two-tokens]="tang $dead"$'\n'"tang $a"
  [null]='null {}'
)

# shellcheck disable=SC2034
layout_1=(--type luks1)
# shellcheck disable=SC2034
layout_2=(--type luks2 --luks2-metadata-size 64k --luks2-keyslots-size 1m
          --offset 4096)

# Make a device in a file, and ask clevis for its key.
make_device ()
{
  local version=$1 binding=$2 file=$1-$2 slot=0 pin config
  local -n layout=layout_$version
  luks_file "$file" 6 "$(uuid_of "$file")" passphrase "${layout[@]}" ||
    fail "cannot make $file"
  while read -r pin config; do
    bind_luks "$file" passphrase "$pin" "$config" || fail "cannot bind $file"
    slot=$((slot + 1))
  done <<< "${bindings[$binding]}"
  clevis_pass "$file" $slot "$file.key"
  # cryptsetup in the appliance need not try the passphrase's keyslot.
  cryptsetup luksKillSlot -q "$file" 0 || fail "$file"
}

files=()
for binding in "${!bindings[@]}"; do
  files+=("1-$binding" "2-$binding")
  make_device 1 "$binding" &
  make_device 2 "$binding"
  wait $! || fail 'see above'
done
end_server dead

# A copy of a device with a UUID of its own:  copy FILE PLACE
copy ()
{
  cp --sparse=always "$1" "$1.$2"
  cryptsetup luksUUID -q --uuid "$(uuid_of "$1.$2")" "$1.$2" ||
    fail "cannot copy $1"
}

# Partitions, and a place of 8 MiB in turn for LVs and for arrays.
start=1 partitions=()
for file in "${files[@]}"; do
  copy "$file" whole
  copy "$file" part
  copy "$file" lv
  copy "$file" md
  partitions+=("p$start:$start:6")
  start=$((start + 6))
done
gpt part.img $((start + 1)) "${partitions[@]}" || fail 'cannot partition'
truncate -s 128M lv.img
mirrors=()
for ((i = 0; i < 2 * ${#files[@]}; i++)); do
  mirrors+=("m$i:$((1 + 8 * i)):8")
done
gpt md.img $((2 + 8 * 2 * ${#files[@]})) "${mirrors[@]}" ||
  fail 'cannot partition'

fish_start script
fish_drive lv.img
fish "pvcreate $device"
fish "vgcreate matrix $device"
fish_drive md.img
start=1 number=1
for file in "${files[@]}"; do
  put "$file.part" part.img $start
  start=$((start + 6))
  fish "lvcreate l$number matrix 8"
  fish "upload $file.lv /dev/matrix/l$number"
  fish "md-create m$number '${device}$((2 * number - 1)) ${device}$((2 * number))' level:raid1"
  fish "upload $file.md /dev/md/m$number"
  number=$((number + 1))
done
fish_run || fail 'the disks were not made'

disks=(part.img lv.img md.img)
for file in "${files[@]}"; do disks+=("$file.whole"); done
arguments=()
for disk in "${disks[@]}"; do arguments+=(-a "$disk"); done
sha256sum "${disks[@]}" > sums

# The status would not be 0 if one of them had not been opened.
nbde --format=raw "${arguments[@]}" --tang-allow 127.0.0.1 --check \
  --output-keys keys
assert_status 0
sha256sum --quiet -c sums || fail 'a disk was changed'

for file in "${files[@]}"; do
  for place in whole part lv md; do
    assert_stdout_matches "^/dev/[^ ]* $(uuid_of "$file.$place"): token "
  done
  { cat "$file.key"; echo; } >> expected
done
echo >> keys                    # there is none after the last
assert_equal 48 "$(wc -l < keys)" keys
sort keys | uniq -c | awk '{ print $1 }' | sort -u > counts
assert_equal 4 "$(cat counts)" 'devices with each key'
sort -u keys > distinct
sort expected > sorted
assert_same_file sorted distinct
