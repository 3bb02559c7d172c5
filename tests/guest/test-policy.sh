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
requires jq

start_tang one
bound_piece d1.luks tang "$(tang_config one)"
files=(d1.luks)
urls=("$TANG_URL_one")

# The same device, with another URL in its token.
at ()
{
  local file=d$((${#files[@]} + 1)).luks
  cp d1.luks "$file"
  cryptsetup luksUUID -q --uuid "$(uuid_of "$file")" "$file"
  edit_jwe "$file" ".clevis.tang.url = \"$1\""
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

# Only what is named: this address, in whatever way it is written, since the
# address is judged; not the name, which may be resolved to others.
nbde --format=raw -a disk.img --check --quiet --tang-allow "127.0.0.1:$p"
assert_status 2
assert_stdout_matches "^/dev/sda1 .*: token 0, keyslot 1, $TANG_URL_one"
for i in 6 7 9; do
  assert_device_error "/dev/sda$i" 'not asked: '
done
# What to do is said without being asked for, and once: a hint for each address,
# which can be copied as it is.
for address in 127.0.0.1 :: ::1 ::ffff:127.0.0.1 169.254.169.254; do
  [ "$(grep -cF "hint: Add --tang-allow $address if" "$err")" -le 1 ] ||
    fail "the hint for $address is repeated"
done
assert_stderr_has 'virt-nbde-unlock: hint: Add --tang-allow 169.254.169.254 if'
pattern=$(sed -n 's/^virt-nbde-unlock: hint: Add --tang-allow \(::1\) if.*/\1/p' \
            "$err")
assert_equal ::1 "$pattern" 'pattern of the hint'
