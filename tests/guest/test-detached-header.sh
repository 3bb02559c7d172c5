#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A device whose LUKS header is detached, given by --header: its key is
# recovered, and --inspect says that libguestfs cannot open it.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance

start_tang one
printf %s 'of the header' > passphrase
truncate -s 8M data.img
cryptsetup luksFormat -q --header header.luks --key-file passphrase \
  --uuid "$(uuid_of detached)" "${cheap_kdf[@]}" data.img ||
  fail 'cannot make a detached header'
bind_luks header.luks passphrase tang "$(tang_config one)" ||
  fail 'cannot bind the header'
bound_piece other.luks tang "$(tang_config one)"
clevis_pass header.luks 1 expected
clevis_pass other.luks 1 other.key

sha256sum data.img header.luks > sums
common=(--format=raw -a other.luks -a data.img --tang-allow 127.0.0.1)
nbde "${common[@]}" --header /dev/sdb=header.luks --list --check \
  --output-keys keys
assert_status 0
sha256sum --quiet -c sums || fail 'a disk was changed'
assert_stdout_matches "^/dev/sdb $(uuid_of detached): token 0, keyslot 1"
assert_stdout_matches '^ +Header: +header\.luks$'
# The lines are in the order of the disks.
{ cat other.key; echo; cat expected; } > expected-keys
assert_same_file expected-keys keys

nbde "${common[@]}" --header /dev/sdb=header.luks -i \
  --header /dev/sdz=header.luks
assert_status 2
assert_one_error '/dev/sdb: the key is right, but .* detached \(header\.luks\)'
assert_stdout_matches '^ +Opened as: +/dev/mapper/luks-'
assert_stdout_matches '^ +Not opened: .*detached'
assert_stderr_has 'warning: option --header: there is no device /dev/sdz'

# Without the option it is no LUKS device; a file without header is an error.
nbde "${common[@]}" --list --check
assert_status 0
assert_stdout_matches "^/dev/sda $(uuid_of other.luks): token 0, keyslot 1"
assert_stdout_lacks /dev/sdb
nbde "${common[@]}" --header /dev/sdb=data.img --check
assert_status 1
assert_one_error 'header of /dev/sdb: data\.img: is not a LUKS header'
nbde "${common[@]}" --header /dev/sdb=gone --check
assert_status 1
assert_one_error 'gone: No such file'
assert_stderr_lacks 'Starting the appliance'
