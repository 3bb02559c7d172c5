#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --output-keys does not write over what is there, follow a symbolic link,
# write to a terminal or make a file that others can read; what it refuses, it
# refuses before the appliance starts.

. "$(dirname "$0")/../lib/functions.sh"
requires script

truncate -s 1M disk.img
# If it does not refuse, it fails there, with another error.
export LIBGUESTFS_PATH=/nonexistent

refused ()
{
  nbde --format=raw -a disk.img --output-keys "$1" "${@:3}"
  assert_status 1
  assert_no_stdout
  assert_one_error "$2"
  assert_stderr_lacks appliance
}

echo precious > keys
refused keys 'keys: exists \(--force replaces it\)'
assert_equal precious "$(cat keys)" 'the file that was there'

mkdir dir
refused dir 'dir: exists and is not a regular file'
refused dir 'dir: exists and is not a regular file' --force
refused /dev/null '/dev/null: exists and is not a regular file' --force

ln -s keys link
refused link 'link: exists and is not a regular file'
refused link 'link: exists and is not a regular file' --force
ln -s nowhere dangling
refused dangling 'dangling: exists and is not a regular file'
assert_no_file nowhere
assert_equal precious "$(cat keys)" 'the file that was there'

refused missing/keys 'missing/keys: No such file or directory'
refused disk.img/keys 'disk\.img/keys: Not a directory'
# Not even root can write there.
refused /proc/self/keys '/proc/self/keys: '
if [ "$(id -u)" -ne 0 ]; then
  chmod 500 dir
  refused dir/keys 'dir/keys: Permission denied'
fi

# With --force, the appliance is the next thing to be asked for, if it is to look.
nbde --format=raw -a disk.img --output-keys keys --force --appliance=always
assert_status 1
assert_stderr_has 'the appliance did not start'
assert_equal precious "$(cat keys)" 'the file that was there'

# A terminal, made by script.
mark_run
printf '%q ' env "${marked[@]}" "$VIRT_NBDE_UNLOCK" --format=raw -a disk.img \
  --output-keys - > command.sh
run_command script -qec "bash command.sh" typescript
assert_status 1
assert_stdout_has 'keys are not written to a terminal'
assert_stdout_lacks appliance
