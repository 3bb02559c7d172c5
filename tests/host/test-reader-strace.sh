#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What is opened while a disk is read on the host: the files of its chain, and what
# belongs to the system.  strace is the witness.  Nor is a disk read so where the
# kernel cannot keep qemu-nbd from other files.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/strace.sh"
requires qemu-img qemu-nbd

read_disk=$top_builddir/common/blocks/helper_read_disk
[ -x "$read_disk" ] || skip 'helper_read_disk was not built (make check does it)'

disks=$PWD/disks
mkdir "$disks"
cd "$disks"
seq 500000 > base
truncate -s 3M base
qemu-img create -q -f qcow2 -b base -F raw middle
qemu-img create -q -f qcow2 -b "$disks/middle" -F qcow2 top
qemu-img create -q -f qcow2 -b /etc/shadow -F raw hostile 1M
echo other > neighbour

cmp_bytes ()
{
  head -c 100000 base > expected
  assert_same_file expected "$out"
}

traced "$tmp/trace" "$read_disk" - top 0 100000
assert_status 0
cmp_bytes
opened_only "$tmp/trace" top middle base
# The witness sees another file.
assert_fails opened_only "$tmp/trace" top middle
assert_equal 1 "$(grep -c 'execve("[^"]*/qemu-nbd"' "$tmp/trace")" 'programs'

# qemu-nbd opens each file of the chain once, for reading, accepts one connection,
# and makes no socket.
program=$(sed -n 's,^\([0-9]*\) *execve("[^"]*/qemu-nbd".*,\1,p' "$tmp/trace")
sed -n "/^$program *execve/,\$p" "$tmp/trace" > "$tmp/rest"
for file in top middle base; do
  grep -q "^$program .*O_RDONLY.* = [0-9]*<$disks/$file>\$" "$tmp/rest" ||
    fail "qemu-nbd has not opened $file for reading"
done
! grep -E "O_(RDWR|WRONLY).*<$disks/" "$tmp/rest" ||
  fail 'a disk was opened for writing'
assert_equal 1 "$(grep -c 'accept4\?(' "$tmp/rest")" 'accepted connections'
! grep -E '\b(socket|connect|bind|listen)\(.* = [0-9]' "$tmp/rest" ||
  fail 'qemu-nbd has made a socket'

# What a header names is not opened where the user says what the disk is.
traced "$tmp/trace.raw" "$read_disk" raw hostile 0 4
assert_status 0
assert_equal QFI "$(head -c 3 "$out")" 'its first bytes'
opened_only "$tmp/trace.raw" hostile
assert_equal 1 "$(grep -c execve "$tmp/trace.raw")" 'programs'

# A file that nobody names is out of reach of what has the image open.
mkdir bin
{
  echo '#!/usr/bin/perl'
  echo "die open (F, '<', '$disks/neighbour') ? 'got it' : 'refused', qq(\\n);"
} > bin/qemu-nbd
chmod +x bin/qemu-nbd
run_command env PATH="$disks/bin:$PATH" "$read_disk" - top 0 1
assert_status 1
assert_stderr_has "$disks/top: cannot be read: refused"

# Without Landlock a raw disk can be read here, and no other.
without_landlock ()
{
  run_command strace -f -qq -o "$tmp/trace.inject" \
    -e trace=landlock_create_ruleset,execve \
    -e inject=landlock_create_ruleset:error=EOPNOTSUPP "$read_disk" "$@"
}
without_landlock - top 0 1
assert_status 2
assert_stderr_has "$disks/top: this kernel has no Landlock"
! grep -q qemu-nbd "$tmp/trace.inject" || fail 'qemu-nbd was started'
without_landlock raw base 0 100000
assert_status 0
cmp_bytes
left=$(find "$TMPDIR" -maxdepth 1 -name 'virt-nbde-unlock-*')
[ -z "$left" ] || fail "left behind: $left"
