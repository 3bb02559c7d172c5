#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --output-keys-format: the keys are byte for byte those of clevis in every
# format, and the programs that a format is for can use it.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires virt-cat jq xargs

start_tang one
get_guests part-lvm
bind part-lvm root tang "$(tang_config one)"
clevis_key part-lvm root 1 expected
uuid=$(luks_uuid part-lvm root)

write_keys ()
{
  nbde --format=raw -a part-lvm.img --tang-allow 127.0.0.1 \
    --output-keys-format "$1" --output-keys "$2"
}

write_keys args keys
assert_status 0
assert_equal "--key $uuid:file:$PWD/keys.d/0 " "$(tr '\n' ' ' < keys)" arguments
assert_same_file expected keys.d/0
assert_equal '700 600' "$(stat -c %a keys.d keys.d/0 | paste -sd ' ')" modes
run_command xargs -a keys virt-cat --format=raw -a part-lvm.img /etc/hostname
assert_status 0
assert_equal part-lvm.example.com "$(cat "$out")" '/etc/hostname'

# Two keys, and devices without one, for the other formats.
bound_piece a.luks tang "$(tang_config one)"
bound_piece b.luks tang "$(tang_config one)"
piece unbound.luks
clevis_pass a.luks 1 a.key
clevis_pass b.luks 1 b.key
disk_of disk.img a.luks unbound.luks b.luks
write_pieces ()
{
  nbde --format=raw -a disk.img --tang-allow 127.0.0.1 \
    --output-keys-format "$1" --output-keys "$2"
  assert_status 0
}

# One launch: what is without key is an error of one format only.
nbde --format=raw -a disk.img --tang-allow 127.0.0.1 --output-keys lines
assert_status 1
assert_one_error 'lines was not written: /dev/sda2 has no key'
assert_no_file lines

write_pieces dir folder
assert_equal '0 1' "$(ls -A folder | paste -sd ' ')" 'files'
assert_same_file a.key folder/0
assert_same_file b.key folder/1

write_pieces secret secret.yaml
for i in 0 1; do
  sed -n "s/^  \"$i\": //p" secret.yaml | base64 -d > $i.decoded
done
assert_same_file a.key 0.decoded
assert_same_file b.key 1.decoded
assert_equal 'apiVersion: v1 kind: Secret metadata: type: Opaque data:' \
  "$(grep -v '^ ' secret.yaml | paste -sd ' ')" 'the Secret'

write_pieces json -
jq -j '.[0].key_base64' "$out" | base64 -d > json.key
assert_same_file a.key json.key
assert_equal "/dev/sda1 1 $(uuid_of a.luks)" \
  "$(jq -r '.[0] | "\(.device) \(.keyslot) \(.uuid)"' "$out")" 'the object'
assert_equal 2 "$(jq length "$out")" objects
