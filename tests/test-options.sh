#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The options that print something and end: --help, --version,
# --short-options, --long-options, --machine-readable without a disk.

. "$(dirname "$0")/functions.sh"

nbde --help
assert_status 0
assert_stdout_has 'virt-nbde-unlock -a DISK'
assert_stdout_has '--output-keys'
[ ! -s "$err" ] || fail '--help prints to standard error'
long=$(awk 'length > 80' "$out")
assert_equal '' "$long" 'lines of --help longer than 80 columns'

nbde --version
assert_status 0
assert_stdout_matches '^virt-nbde-unlock [0-9]+\.[0-9]+'
version=$(cat "$out")
nbde -V
assert_equal "$version" "$(cat "$out")" 'output of -V'

# The first that ends the program wins, whatever is wrong behind it.
nbde --version --no-such-option
assert_status 0

nbde --short-options
assert_status 0
assert_equal '-V -a -i -q -v -x ' "$(sort "$out" | tr '\n' ' ')" \
  'short options'

nbde --long-options
assert_status 0
for option in add blocksize check colors force format help inspect list \
              long-options machine-readable memsize network no-network \
              output-keys quiet short-options smp tang-allow tang-timeout \
              verbose version wrap; do
  assert_stdout_matches "^--$option\$"
done
[ -z "$(grep -v '^--[a-z-]*$' "$out")" ] || fail 'not only options'
cp "$out" long-options

# Each long option is also known by what makes it unambiguous.
nbde --long-opt
assert_status 0
assert_same_file long-options "$out"

nbde --machine-readable
assert_status 0
assert_equal virt-nbde-unlock "$(head -n 1 "$out")" 'first feature'
for feature in list check inspect output-keys; do
  assert_stdout_matches "^$feature\$"
done
[ ! -s "$err" ] || fail '--machine-readable prints to standard error'
