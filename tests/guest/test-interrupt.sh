#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# ^C and SIGTERM, during the exchange and during the launch, end the tool at
# once by that signal and leave nothing behind; neither does SIGKILL.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance

start_tang one
bound_piece a.luks tang "$(tang_config one)"
disk_of disk.img a.luks
replace_server one start_blackhole

asked ()
{
  [ "$(connections one)" -gt "$before" ]
}

start ()
{
  before=$(connections one)
  nbde_start --format=raw -a disk.img --tang-allow 127.0.0.1 \
    --tang-timeout 300 --check -i --output-keys keys
  wait_for 120 find_qemu || fail 'no qemu was started'
}

# It has ended as a process does that a signal has ended.
#   ended SIGNAL-NUMBER
ended ()
{
  nbde_wait 20
  assert_equal $((128 + $1)) "$status" 'exit status'
  assert_stderr_has 'virt-nbde-unlock: error: interrupted'
  assert_one_error interrupted
  assert_no_stdout
  assert_no_leftovers
  assert_no_file "$(dirname "$socket")"
  assert_no_file keys
  assert_equal '' "$(find . -name '.virt-nbde*')" 'temporary files of keys'
}

# ^C goes to all processes of the terminal's group.
start
wait_for 120 asked || fail 'the server was not asked'
kill -INT -- "-$nbde_pid"
ended 2

# SIGTERM to the tool alone.
start
wait_for 120 asked || fail 'the server was not asked'
kill -TERM "$nbde_pid"
ended 15

# During the launch, when qemu has made the temporary disk of the appliance and
# not yet removed its name, which it does a moment later: here it never does.
# shellcheck disable=SC2016
wrap_qemu qemu 'mkdir "$TMPDIR/of-qemu" && : > "$TMPDIR/of-qemu/vl.disk"'
LIBGUESTFS_HV=$PWD/qemu start
[ -n "$(find "$run_tmp" -name vl.disk)" ] ||
  fail 'qemu has made its disk elsewhere'
kill -INT -- "-$nbde_pid"
ended 2

# By SIGKILL: the janitor ends the appliance and removes what there was.
#   killed
killed ()
{
  kill -KILL "$nbde_pid"
  # bash reports that a child was killed.
  nbde_wait 20 2>/dev/null
  assert_equal 137 "$status" 'exit status'
  wait_for 60 no_run_processes || fail 'processes are left behind by SIGKILL'
  assert_no_leftovers
  assert_no_file "$(dirname "$socket")"
  assert_no_file keys
}

# During the launch.
LIBGUESTFS_HV=$PWD/qemu start
[ -n "$(find "$run_tmp" -name vl.disk)" ] || fail 'there is no such disk'
killed

# During the work; others with an environment that is alike live on.
TMPDIR=$run_tmp sleep 1000 &
other=$!
start
wait_for 120 asked || fail 'the server was not asked'
killed
is_running "$other" || fail 'a process of somebody else was ended'
kill "$other"
