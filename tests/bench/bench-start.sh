#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# From exec to the first call of libguestfs, which is put in the place of the
# library's and ends the process: its whole time is measured.  The host does not
# look at the disk, since that is no part of the start.
#
# timeout: 600

. "$(dirname "$0")/common.sh"

requires hyperfine guestfish cc

cat > first-call.c <<END
#include <unistd.h>
void *guestfs_create (void) { _exit (42); }
void *guestfs_create_flags (unsigned flags) { _exit (42); }
END
cc -shared -fPIC -o first-call.so first-call.c || fail 'first-call.so'
truncate -s 1M disk.img
stopped="env LD_PRELOAD=$PWD/first-call.so $VIRT_NBDE_UNLOCK -a disk.img -i"
stopped+=' --appliance=always'
run_command $stopped
assert_status 42

for ((i = 0; i < 3; i++)); do
  short_samples start $(((runs + 2) / 3)) "$stopped" -i
  short_samples nothing $(((runs + 2) / 3)) 'guestfish --version'
done

echo '## Start'
table 'whole process'
row 'virt-nbde-unlock, until the first call of libguestfs' start 1 ms
row 'for comparison: guestfish --version' nothing 1 ms
target 'from exec to the first call of libguestfs' "$(median start)" \
  'at most' 20 1 ms
