#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A real conversion: a Debian 12 guest, LUKS2 with LVM in it and bound to a
# Tang server, is converted by virt-v2v, three times, by the recipes of
# virt-nbde-unlock-recipes(7): the key comes from memory, by standard input, and
# from a file.  What comes out is the guest with a virtio disk, still bound.
#
# slow
# needs: appliance
# timeout: 7200

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/recipes.sh"
requires_tang
requires_appliance
requires curl debootstrap jq nbdcopy nbdkit virt-v2v xmllint
[ "$(id -u)" -eq 0 ] || skip 'not root, which debootstrap needs'

real=$("$top_srcdir/tests/guests/make-real-guest.sh" "$(test_cache)") ||
  fail 'the guest could not be made'
read -r _ uuid _ offset < "$real/luks"
cp --sparse=always "$real/disk.img" guest.img
start_tang one
recipes_servers one
# shellcheck disable=SC2154
bind_guest guest.img "$offset" "$real/passphrase" tang "$recipes_pin" ||
  fail 'cannot bind the guest'
sha256sum guest.img > sum

# Without a key there is no conversion, so what follows is not by chance.
mkdir none
run_command virt-v2v -i disk guest.img -o local -os none \
  --key "$uuid:file:/dev/null"
[ "$status" -ne 0 ] || fail 'virt-v2v opens the guest without a key'
rmdir none

#   convert RECIPE
convert ()
{
  local started=$SECONDS disk=converted/guest-sda
  mkdir converted
  run_recipe "$1"
  assert_status 0
  cp "$out" "$1.log"
  echo "$1: $((SECONDS - started)) seconds"
  sha256sum --quiet -c sum || fail 'the disk of the guest was changed'

  # The guest has a virtio disk.
  assert_equal virtio \
    "$(xmllint --xpath 'string(//disk/target/@bus)' converted/guest.xml)" \
    'the bus of the disk'

  # What is on it is still bound, and still the guest, in which virt-v2v has
  # made the initramfs anew.
  run_command "$tmp/recipes.bin/virt-nbde-unlock" --format=raw -a "$disk" \
    --output-keys converted.key
  assert_status 0
  run_command guestfish --ro --format=raw -a "$disk" \
    --key "$uuid:file:converted.key" -i \
    sh 'cat /etc/hostname /etc/debian_version; ls -1 /boot
        lsinitramfs /boot/initrd.img-*; stat -c "made %Y" /boot/initrd.img-*'
  assert_status 0
  assert_stdout_has real.example.com
  assert_stdout_matches '^12\.'
  assert_stdout_matches '^vmlinuz-6\.1\.'
  assert_stdout_matches '/virtio_blk\.ko'
  assert_stdout_has cryptroot/crypttab
  # The old one is kept beside it.
  [ "$(awk '$1 == "made" { print $2 }' "$out" | sort -n | tail -n 1)" -ge \
    "$begin" ] ||
    fail 'the initramfs was not made anew'
  rm -rf converted converted.key guest.json
}
begin=$(date +%s)

for name in $conversions; do
  convert "$name"
done
