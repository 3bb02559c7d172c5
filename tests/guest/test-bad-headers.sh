#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Damaged LUKS headers: what can still be read is read, with a warning; what
# cannot is refused by name; a good device beside them is unlocked.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance

start_tang one
bound_piece good.luks tang "$(tang_config one)"

# Overwrite a piece of a file:  damage FILE OFFSET LENGTH
damage ()
{
  head -c "$3" /dev/zero | tr '\0' 'X' |
    dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

copy ()
{
  cp good.luks "$1"
  cryptsetup luksUUID -q --uuid "$(uuid_of "$1")" "$1"
}

# The primary header is there, but its checksum is wrong: the second serves.
copy primary.luks
damage primary.luks 4200 1

# The primary header does not even begin as one.
copy magic.luks
damage magic.luks 0 6

# Both are wrong.
copy both.luks
damage both.luks 4200 1
damage both.luks $((16384 + 4200)) 1

# Reencryption has begun.
piece reencrypt.luks
cryptsetup reencrypt -q --init-only --key-file passphrase "${cheap_kdf[@]}" \
  reencrypt.luks 2>/dev/null || fail 'cryptsetup reencrypt'

# The device ends in its header.
copy short.luks

# Nothing but zeros where the keyslot's key is.
copy keyless.luks
dd if=/dev/zero of=keyless.luks bs=4096 seek=8 count=128 conv=notrunc \
  status=none

disk_of disk.img good.luks primary.luks magic.luks both.luks \
  reencrypt.luks keyless.luks short.luks
# The last one is cut off by its partition.
start=$((19 * 2048))
echo "start=$start size=64" |
  sfdisk --quiet --no-reread --no-tell-kernel -N 7 disk.img ||
  fail 'sfdisk'

nbde --format=raw -a disk.img --tang-allow 127.0.0.1 --list --check
assert_status 2

for i in 1 2 3; do
  assert_stdout_matches "^/dev/sda$i .*: token 0, keyslot 1, $TANG_URL_one"
done
assert_stderr_matches 'warning: /dev/sda3: the primary LUKS2 header is damaged'
assert_stderr_matches '/dev/sda4: .*damaged LUKS2 header'
assert_stderr_matches '/dev/sda5: .*requirement "online-reencrypt'
assert_device_error /dev/sda6 'keyslot 1: .*does not accept'
assert_stderr_matches '/dev/sda7: .*LUKS2 header'
