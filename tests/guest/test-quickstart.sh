#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# ./quickstart in a fresh tree, and what it says to try next: each command is
# run exactly as it is printed.  When quickstart is run again while the server
# that they start is there, that server goes on, and can be stopped.
#
# needs: appliance
# timeout: 1800

. "$(dirname "$0")/../lib/functions.sh"
requires autoreconf guestfish
# How the appliance is started is for quickstart and the tool to find out, so
# requires_appliance is not called.

mkdir tree
tar -C "$top_srcdir" -c --exclude=./build --exclude=./.git . | tar -C tree -x
cd tree || fail 'no tree'

pid_file=build/demo/serve.pid

# Sets pid, of the server that must run now; it ends with the test.
find_server ()
{
  pid=$(cat $pid_file)
  is_running "$pid" || fail 'the server does not run'
  groups+=("$pid")
}

# Sets printed, the commands.
quickstart ()
{
  run_command ./quickstart
  assert_status 0
  assert_stdout_has 'It works'
  mapfile -t printed < <(sed -n '/^What to try next/,$s/^  //p' "$out")
  [ ${#printed[@]} -ge 4 ] || fail "only ${#printed[@]} commands are printed"
}

quickstart
first=("${printed[@]}")
for command in "${first[@]}"; do
  # All but the last one, which stops the server.
  [ "$command" != "${first[-1]}" ] || break
  run_command bash -c "$command"
  [ "$status" -eq 0 ] || fail "this does not work: $command"
  [ -s "$out" ] || fail "this prints nothing: $command"
done
find_server

# Started once more, it neither disturbs the one that runs nor forgets it.
run_command bash -c "${first[0]}"
[ "$status" -ne 0 ] || fail 'a second server takes the place of the first one'
assert_stderr_has 'runs already'
assert_equal "$pid" "$(cat $pid_file)" 'process of the server'

# The guest is bound anew when its port is lost, with a server of its own.
port=$(cat build/demo/port)
rm build/demo/port
run_command tests/guests/make-demo-guest.sh build/demo
assert_status 0
assert_equal "$pid" "$(cat $pid_file)" 'process of the server'
is_running "$pid" || fail 'the server was stopped by make-demo-guest.sh'
[ "$(cat build/demo/port)" != "$port" ] || fail 'the guest was not bound anew'

# As a user would: the server of before is stopped as it was printed.
run_command bash -c "${first[-1]}"
assert_status 0
! is_running "$pid" || fail 'the server was not stopped'

# Again, while the server of the guest runs, and one that quickstart left behind
# when it was killed.
run_command tests/guests/serve-tang.sh build/demo/tang "$(cat build/demo/port)" \
  $pid_file
assert_status 0
find_server
run_command tests/guests/serve-tang.sh build/demo/tang 0 \
  build/demo/quickstart.pid
assert_status 0
left=$(cat build/demo/quickstart.pid)
groups+=("$left")
quickstart
assert_equal "${#first[@]}" "${#printed[@]}" 'number of commands'
case ${printed[0]} in
  *" $(cat build/demo/port) $pid_file") ;;
  *) fail "it would not start the server of the guest: ${printed[0]}" ;;
esac
! is_running "$left" || fail 'the server that was left behind goes on'
assert_equal "$pid" "$(cat $pid_file)" 'process of the server'
is_running "$pid" || fail 'the server was stopped by quickstart'
run_command bash -c "${printed[-1]}"
assert_status 0
! is_running "$pid" || fail 'the server was not stopped'
assert_no_file $pid_file
assert_no_file build/demo/quickstart.pid
