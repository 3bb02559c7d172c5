#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# How keys are written: complete, 0600 whatever the umask, no newline at the
# end; to standard output as -; --force replaces a file.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance

start_tang one
bound_piece a.luks tang "$(tang_config one)"
bound_piece b.luks tang "$(tang_config one)"
clevis_pass a.luks 1 a.key
clevis_pass b.luks 1 b.key
{ cat a.key; echo; cat b.key; } > expected
disk_of disk.img a.luks b.luks
disk_of one.img a.luks

umask 0
mkdir open-to-all
echo old > open-to-all/keys
chmod 666 open-to-all/keys
ln open-to-all/keys open-to-all/other-name
nbde --format=raw -a disk.img --tang-allow 127.0.0.1 \
  --output-keys open-to-all/keys --force
assert_status 0
assert_no_stdout
assert_same_file expected open-to-all/keys
assert_equal 600 "$(stat -c %a open-to-all/keys)" 'mode'
assert_equal old "$(cat open-to-all/other-name)" 'the file that was replaced'
assert_equal "keys other-name" "$(ls -A open-to-all | paste -sd ' ')" \
  'files in the folder'

# Progress messages are not in the way.
nbde --format=raw -a one.img --tang-allow 127.0.0.1 --output-keys -
assert_status 0
assert_same_file a.key "$out"
assert_stderr_matches '^\[ *[0-9.]+\] '
