#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A test whose set-up fails is a test that fails, wherever that happens, though
# what it then looks for is not there: small tests of which each fails in its
# way.  What may fail does not end a test.

. "$(dirname "$0")/../lib/functions.sh"
requires sfdisk socat

# Run a test with these commands, which begin in its line 3; sets status, $out
# and $err.
small_test ()
{
  printf '%s\n' '#!/bin/bash -' ". ${top_srcdir@Q}/tests/lib/functions.sh" \
    "$1" 'echo to the end' > small.sh
  chmod +x small.sh
  run_command "$top_srcdir/tests/run-test" "$PWD/small.sh"
}

passes ()
{
  small_test "$1"
  assert_status 0
  assert_stdout_has 'to the end'
}

#   ends MESSAGE COMMANDS: it fails, and does not go on
ends ()
{
  small_test "$2"
  assert_status 1
  assert_stdout_lacks 'to the end'
  assert_stderr_has "FAILED: $1"
}

# Whatever fails, a negative assertion behind it would hold.
negative='! grep -q secret here || fail "there is a secret"'

passes ": > here; $negative"
ends 'there is a secret' "echo secret > here; $negative"

ends 'this failed with status 1: cp missing here' "cp missing here
$negative"
assert_stderr_matches '^  in line 3$'
ends 'this failed with status 1: cp missing here' "set_up ()
{
  cp missing here
  true
}
set_up
$negative"
assert_stderr_matches '^  in line 5 8$'
ends 'this failed with status 1: ' "cat missing | tr a b > here
$negative"
ends 'this failed with status 1: ' "text=\$(cp missing here; echo text)
$negative"
ends 'this failed with status 1: ' "(cp missing here; true)
$negative"
ends 'this failed with status 1: ' "{ cp missing here; true; } &
wait \$!
$negative"
ends 'this failed with status 1: ' "disk_of here missing
$negative"
ends 'this failed with status 1: ' "wait_for 0 false
$negative"

# What a subshell says counts, even if its status does not.
small_test 'guests=$PWD
echo "$(luks_uuid nobody root)" > here'
assert_status 1
assert_stderr_has 'FAILED: guest nobody has no device root'

# It ends its servers.
ends 'this failed with status 1: false' "start_blackhole hole
echo \$TANG_PID_hole > ${PWD@Q}/pid
false"
[ -s pid ] || fail 'there was no server'
! is_running "$(cat pid)" || fail 'its server was not ended'

# What may fail.
passes 'run_command false
assert_status 1
nbde --no-such-option
assert_status 1
! grep -q secret /dev/null || fail "there is a secret"
[ -z "$(search secret /dev/null)" ] || fail "there is a secret"
wait_for 0 false || :
sleep 100 &
kill $!
wait $! || status=$?
assert_status 143'
small_test 'skip "no reason"'
assert_status 77
assert_stdout_has 'skipped: no reason'

# An assertion that is to fail has to say so.
echo secret > secret
passes "assert_fails fail 'as it should'
assert_fails assert_same_file /dev/null ${PWD@Q}/secret"
ends 'this does not find what is wrong: true' 'assert_fails true'
ends 'this does not find what is wrong: false' 'assert_fails false'
