#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The disk names servers, the user decides: loopback and link-local addresses
# are refused, however they are written, unless --tang-allow names them, and
# then only what it names.  What is refused is not connected to.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires curl jq

start_tang one
bound_piece d1.luks tang "$(tang_config one)"
files=(d1.luks)
urls=("$TANG_URL_one")

# A device that is bound to the same keys by another URL.
curl -sfg "$TANG_URL_one/adv" > one.adv
at ()
{
  local file=d$((${#files[@]} + 1)).luks
  bound_piece "$file" tang \
    "$(jq -n --arg url "$1" --arg adv "$PWD/one.adv" '{url: $url, adv: $adv}')"
  files+=("$file")
  urls+=("$1")
}
p=$TANG_PORT_one
at "http://localhost:$p"
at "http://127.1:$p"
at "http://2130706433:$p"
at "http://0x7f000001:$p"
at "http://0:$p"
at "http://[::1]:$p"
at "http://[::ffff:127.0.0.1]:$p"
at "http://169.254.169.254"
at "127.0.0.1:$p"
disk_of disk.img "${files[@]}"

before=$(connections one)
nbde --format=raw -a disk.img --check
assert_status 2
for ((i = 0; i < ${#files[@]}; i++)); do
  assert_device_error "/dev/sda$((i + 1))" \
    'not asked: .* is in the (loopback|link-local|unspecified) range'
done
assert_stderr_matches '/dev/sda9: .*link-local range'
assert_equal "$before" "$(connections one)" 'connections'

# Only what is named: this address, in whatever way it is written and by a name
# that leads to it, since it is the address that is judged.
nbde --format=raw -a disk.img --check --quiet --tang-allow "127.0.0.1:$p"
assert_status 2
for i in 1 2 3 4 5 8 10; do
  assert_stdout_matches "^/dev/sda$i .*: token 0, keyslot 1, "
  assert_stdout_has ": token 0, keyslot 1, ${urls[i-1]}, "
done
for i in 6 7 9; do
  assert_device_error "/dev/sda$i" 'not asked: '
  assert_stdout_matches "^/dev/sda$i .*: failed\$"
done
# Addresses that are the same may share a connection.
after=$(connections one)
[ "$after" -gt "$before" ] && [ "$after" -le $((before + 7)) ] ||
  fail "$((after - before)) connections for 7 servers"
# What to do is said without being asked for, and once: a hint for each address,
# which can be copied as it is.
hints=$(sed -n 's/^virt-nbde-unlock: hint: Add --tang-allow \(.*\) if .*/\1/p' \
          "$err" | sort | paste -sd ' ')
assert_equal '0.0.0.0 169.254.169.254 ::1' "$hints" 'patterns of the hints'
