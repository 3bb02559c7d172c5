#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The options that print something and end: --help, --version,
# --short-options, --long-options, --machine-readable without a disk.

. "$(dirname "$0")/../lib/functions.sh"

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
assert_equal '-V -a -c -d -i -m -o -q -v -x ' "$(sort "$out" | tr '\n' ' ')" \
  'short options'

nbde --long-options
assert_status 0
for option in add blocksize check colors force format help inspect list \
              long-options machine-readable memsize network no-network \
              output-keys quiet short-options smp verbose version wrap \
              preflight no-probe export-requests import-replies \
              requests-state tang-allow tang-allow-file tang-map \
              tang-resolve tang-cacert tang-cert tang-key tang-proxy no-proxy \
              tang-connect-timeout tang-timeout deadline tang-retries \
              tang-parallel tang-share tang-keydir domain connect header exchange key \
              keys-from-stdin echo-keys appliance; do
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
for feature in list preflight check inspect output-keys export-requests \
               appliance; do
  assert_stdout_matches "^$feature\$"
done
[ ! -s "$err" ] || fail '--machine-readable prints to standard error'

# How messages look: plain in a file, unless they are asked to be otherwise.
name=$(printf 'x%.0s' $(seq 40))
run_missing ()
{
  nbde -a "$name $name $name/missing" --list "$@"
  assert_status 1
}
run_missing
assert_equal 1 "$(wc -l < "$err")" 'lines of an error'
! grep -q $'\e' "$err" || fail 'colours in a file'
run_missing --colors
grep -q $'^\e\\[31mvirt-nbde-unlock: error:\e\\[0m ' "$err" ||
  fail 'no colours with --colors'
run_missing --wrap
[ "$(wc -l < "$err")" -ge 3 ] || fail 'no lines are broken with --wrap'
assert_equal '' "$(awk 'length > 78' "$err")" 'lines longer than 78 columns'

# A command that cannot be run is an error before anything else is done.
nbde -a no-such.img --run -- ./no-such-command
assert_status 127
assert_one_error './no-such-command: No such file'
: > no-program
nbde -a no-such.img --run -- ./no-program
assert_status 126
assert_one_error './no-program: Permission denied'
