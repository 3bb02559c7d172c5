#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Do the benchmarks work?  One round of each; whether targets are met is not
# for a test to say, which runs beside others.
#
# slow
# needs: appliance
# timeout: 5400

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires hyperfine bc jq gnuplot supermin xmllint cc
for program in header-to-key many-bindings peak-memory; do
  [ -x "$top_builddir/tests/bench/$program" ] ||
    skip "no $program: make check TESTS= makes it"
done

export BENCH_ROUNDS=1 BENCH_RUNS=3 BENCH_BINDINGS=40 BENCH_MOST=12
run_command "$top_srcdir/tests/bench/run-all" output
assert_status 0

# Every target has a value, and is met or missed.
for target in 'from exec to the first call of libguestfs' \
    '--output-keys of a raw disk' \
    '--output-keys with --appliance=always / without an appliance' \
    '--output-keys of a qcow2 image with a backing file' \
    '--list of a raw disk' \
    'memory of program, vault and qemu-nbd (sum of VmHWM)' \
    'clevis luks pass / header-to-key, both keyslots cheap' \
    'header-to-key without its start and the server' \
    'bound guest / unencrypted guest' \
    'the same, with an appliance like that of guestfish' \
    'guestfish with the passphrase / virt-nbde-unlock, argon2id 1 GiB' \
    'clevis in the appliance / virt-nbde-unlock, cheap first keyslot' \
    'clevis in the appliance / virt-nbde-unlock, argon2id 1 GiB' \
    'each further device / cryptsetup_open of one'; do
  row=$(grep -F "| $target | " output/results.md) || fail "no target: $target"
  [[ $row =~ \|\ -?[0-9.]+(\ ms|\ MiB)?\ \|\ at\ (most|least)\ [0-9.]+.*\|\ (met|missed)\ \|$ ]] ||
    fail "not a target: $row"
done
for plot in processes unlock growth memory; do
  xmllint --noout "output/$plot.svg" || fail "$plot.svg is not well-formed"
  # Something was drawn, in the colour of virt-nbde-unlock.
  grep -q 'rgb( *42, *120, *184)' "output/$plot.svg" || fail "$plot.svg is empty"
  assert_equal 1 "$(grep -c "($plot.svg)" output/results.md)" "$plot.svg"
done
# It names neither this machine nor a path of it.
! grep -F -e "$(uname -n)" -e "$top_srcdir" -e "$tmp" -r output ||
  fail 'the results name this machine'
