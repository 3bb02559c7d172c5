#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Mutants of disks that nobody has tried before are read without a fault; one that
# is planted is found.
#
# slow

. "$(dirname "$0")/../lib/functions.sh"

helper=$top_builddir/nbde/layout/helper_layout_fuzz
run_command "$helper" --planted 1
assert_status 1
assert_stderr_matches 'a read of [0-9]+ bytes at'
run_command "$helper" 60
assert_status 0
assert_stdout_matches '^seed [0-9]+$'
