#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# No passphrase in a core dump that is taken while the tool waits for a server
# and has already recovered a key; nor in the arguments and the environment of
# any of its processes; nor in what -v -x print.  Planted leaks show that each
# search can find one.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires gcore gdb
get_guests two

start_tang alive
start_tang stalled
bind two home tang "$(tang_config alive)"
bind two root tang "$(tang_config stalled)"
clevis_key two home 1 home.key
clevis_key two root 1 root.key
replace_server stalled start_blackhole

# Is one of the passphrases in one of these files?
leaks ()
{
  local code=0
  [ -s home.key ] && [ -s root.key ] || fail 'there is nothing to search for'
  LC_ALL=C grep -qaF -f home.key -f root.key -- "$@" || code=$?
  [ $code -le 1 ] || fail "cannot search $*"
  return $code
}

# The search finds what it is for, and nothing else.
{ head -c 1000 /dev/zero; cat home.key; echo; } > planted
leaks planted || fail 'the search finds no leak'
head -c -2 home.key > harmless
! leaks harmless || fail 'the search finds a leak where there is none'

nbde_start --format=raw -a two.img --tang-allow 127.0.0.1 --tang-timeout 300 \
  --check -v -x

# Wait until the key of one device was recovered: the server has answered, and
# the tool, which then verifies the key, has nothing to do any more.
answered ()
{
  grep -q 'POST /rec/.* => 200' "$TANG_LOG_alive.now"
}
both_asked ()
{
  # The requests of clevis come first.
  tail -n "+$((lines_before + 1))" "$TANG_LOG_alive" > "$TANG_LOG_alive.now"
  answered && [ "$(connections stalled)" -ge 1 ]
}
idle ()
{
  local before after
  before=$(awk '{ print $14 + $15 }' "/proc/$nbde_pid/stat")
  sleep 0.5
  after=$(awk '{ print $14 + $15 }' "/proc/$nbde_pid/stat")
  [ "$before" = "$after" ]
}
lines_before=$(wc -l < "$TANG_LOG_alive")
wait_for 120 both_asked || fail 'the servers were not asked'
wait_for 20 idle || fail 'the tool does not wait'

# All processes of the run: the tool, qemu, the helper that ends qemu.
processes=$(run_processes)
[ "$(wc -w <<< "$processes")" -ge 2 ] || fail 'there is no qemu'
for process in $processes; do
  cat "/proc/$process/cmdline" "/proc/$process/environ"
done > visible
grep -qa -e virt-nbde-unlock visible || fail 'no arguments were read'
! leaks visible || fail 'a passphrase is in the arguments or the environment'

gcore -o core "$nbde_pid" > gcore.log 2>&1 && [ -s "core.$nbde_pid" ] ||
  fail "gcore: $(cat gcore.log)"
# It is the dump of a process that has the key: its UUID is there.
grep -qaF "$(luks_uuid two home)" "core.$nbde_pid" ||
  fail 'the core dump is not that of the tool'
! leaks "core.$nbde_pid" || fail 'a passphrase is in the core dump'

# The same with a leak: a copy in ordinary memory, as a careless function
# would leave it.
octal=$(od -An -v -to1 home.key | tr -s ' \n' '\\')
gdb -p "$nbde_pid" -batch \
  -ex "call (char *) strdup (\"${octal%\\}\")" > gdb.log 2>&1
rm "core.$nbde_pid"
gcore -o core "$nbde_pid" > gcore.log 2>&1
leaks "core.$nbde_pid" || fail "the planted leak is not found: $(cat gdb.log)"
rm "core.$nbde_pid"

# The end: the stalled server goes away.
end_server stalled
nbde_wait 60
assert_status 4
assert_no_leftovers
assert_stdout_matches "^/dev/sda3 .*: token 0, keyslot 1, $TANG_URL_alive"
# Proof that the key was there before the dump: it took no time.
seconds=$(sed -n 's/^\/dev\/sda3 .*, \([0-9.]*\) s$/\1/p' "$out")
awk -v s="$seconds" 'BEGIN { exit !(s < 2) }' ||
  fail "the key was recovered after $seconds s"
! leaks "$out" "$err" || fail 'a passphrase is in the output of -v -x'

# With -v -x, when devices are opened with the keys.
start_tang stalled "$TANG_PORT_stalled"
nbde --format=raw -a two.img --tang-allow 127.0.0.1 -v -x --list --check -i \
  --output-keys keys
assert_status 0
assert_stderr_matches 'libguestfs: trace: .*(luks|cryptsetup)_open .*\*\*\*'
! leaks "$out" "$err" || fail 'a passphrase is in the output of -v -x'
leaks keys || fail 'these are not the passphrases that were looked for'
