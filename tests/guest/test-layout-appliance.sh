#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What nbde/layout says of disks is what the appliance sees, byte for byte: mutants
# of partition tables, degraded arrays, volume groups that lack a disk, and guests
# that other tools made.
#
# needs: appliance
# slow
# timeout: 1800

. "$(dirname "$0")/../lib/functions.sh"
requires_appliance
get_guests two lv md

helper=$top_builddir/nbde/layout/helper_layout_appliance
for disks in tables arrays old-arrays; do
  run_command "$helper" "$disks"
  assert_status 0
  rm -f appliance-*.img
done
run_command "$helper" two.img lv.img md.img
assert_status 0
assert_stdout_matches '^files: [0-9]+ devices$'
