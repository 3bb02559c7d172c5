#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A disk that cannot be one is refused by name before an appliance starts.

. "$(dirname "$0")/../lib/functions.sh"

# Should an appliance be started all the same, then it fails.
export LIBGUESTFS_PATH=/nonexistent

refused ()
{
  nbde -a "$1" --list
  assert_status 1
  assert_no_stdout
  assert_one_error "$2"
}

refused missing.img 'missing\.img: No such file or directory'
refused missing/disk.img 'missing/disk\.img: No such file'

: > empty.img
refused empty.img 'empty\.img: is empty'

mkdir dir.img
refused dir.img 'dir\.img: is a directory'

mkfifo fifo.img
refused fifo.img 'fifo\.img: is neither a file nor a block device'

ln -s missing.img link.img
refused link.img 'link\.img: No such file'

truncate -s 1M good.img
nbde -a good.img -a missing.img --list
assert_status 1
assert_one_error 'missing\.img: No such file'

# Root may read everything.
if [ "$(id -u)" -ne 0 ]; then
  truncate -s 1M secret.img
  chmod 0 secret.img
  refused secret.img 'secret\.img: Permission denied'
fi

nbde --format=vvfat -a good.img --list
assert_status 1
assert_one_error "good\.img: there is no format 'vvfat'; the formats are: raw, "

# A name that would be a control sequence on a terminal.
refused $'evil\e[31m.img' 'evil.*\[31m\.img: No such file'
! grep -q $'\e' "$err" || fail 'an escape character was printed'

refused gopher://127.0.0.1/disk 'gopher://.*scheme'
refused nbd:// 'nbd://: no host is given'
refused ssh://host 'no path is given'
for protocol in ssh http https; do
  refused $protocol://host.invalid/disk.img \
    "disk '/disk\\.img' of $protocol server host\\.invalid: cannot be read: "
done
refused ssh://me:secret@host.invalid/disk.img 'a password cannot be used in this'
refused nbd://me@127.0.0.1/x 'no user names in this protocol'
refused nbd://127.0.0.1:99999/x "port '99999'"
