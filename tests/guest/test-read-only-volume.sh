#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A logical volume that may only be read is opened, though no quick header can
# be written over it; beside it, another one is opened as ever.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance

start_tang one
for name in a b; do
  bound_piece $name.luks tang "$(tang_config one)"
  # So that a quick header saves time.
  clevis_pass $name.luks 1 $name.key
  cryptsetup luksConvertKey -q --key-file $name.key --key-slot 1 \
    --pbkdf pbkdf2 --pbkdf-force-iterations 400000 $name.luks ||
    fail "cannot change $name.luks"
done

truncate -s 128M disk.img
guestfish --rw --format=raw -a disk.img > guestfish.log 2>&1 <<'END' ||
run
pvcreate /dev/sda
vgcreate vg /dev/sda
lvcreate a vg 40
lvcreate b vg 40
upload a.luks /dev/vg/a
upload b.luks /dev/vg/b
debug sh "lvchange -pr vg/a"
END
  fail "the guest cannot be made: $(cat guestfish.log)"

nbde -v --format=raw -a disk.img --tang-allow 127.0.0.1 --inspect
assert_stderr_matches '/dev/vg/a: opened with its own header'
assert_stderr_lacks '/dev/vg/b: opened with its own header'
for name in a b; do
  assert_stdout_matches "^LUKS device /dev/vg/$name\$"
done
assert_equal 2 "$(grep -c 'Opened as:' "$out")" 'opened devices'
