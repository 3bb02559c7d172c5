#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Exit status 2 when one of two devices cannot be unlocked, 4 when that is
# only because no server can be reached, 3 when there is no Clevis binding;
# keys are written only if no line is missing.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance

start_tang one
start_tang two
bound_piece a.luks tang "$(tang_config one)"
bound_piece b.luks tang "$(tang_config two)"
piece c.luks
disk_of disk.img a.luks b.luks
disk_of unbound.img c.luks

# 4: one server is down.
end_server two
nbde --format=raw -a disk.img --tang-allow 127.0.0.1 --output-keys keys
assert_status 4
assert_device_error /dev/sda2 "$TANG_URL_two.*cannot connect"
assert_stderr_matches 'error: keys was not written: /dev/sda2 has no key'
assert_no_file keys
assert_equal '' "$(find . -name '.virt-nbde*')" 'temporary files of keys'

# 2: it is up again, but has other keys.
rm -rf "$TANG_DIR_two"
start_tang two "$TANG_PORT_two"
nbde --format=raw -a disk.img --tang-allow 127.0.0.1 --check
assert_status 2
assert_stdout_matches "^/dev/sda1 .*: token 0, keyslot 1, $TANG_URL_one"
assert_stdout_matches '^/dev/sda2 .*: failed$'
assert_device_error /dev/sda2 \
  "token 0: .*$TANG_URL_two.*does not have the key .*404"

# 3: LUKS without a binding; also with --list, which shows it.
nbde --format=raw -a unbound.img --list -i
assert_status 3
assert_stdout_matches '^/dev/sda1: LUKS2'
assert_stdout_matches '^ *Not unlocked: +no Clevis binding$'
assert_one_error 'no LUKS device has a Clevis binding'
