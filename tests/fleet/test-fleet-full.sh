#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A disk that is full ends the run with an error that says so; nothing that was done
# is lost, and with room again the same command goes on.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq

start_tang one
bound_to one
guests_of a 40 one.luks list

# Files may not grow beyond 20 MiB, which the children have use for; the journal is
# almost as long.
fleet list list --state st
assert_status 0
size=$(stat -c %s st/journal)
{
  printf '{"event": "pad", "pad": "'
  head -c $((20 * mib - 12 * 1024 - size)) /dev/zero | tr '\0' x
  echo '"}'
} >> st/journal
last_command='fleet keys, with ulimit'
status=0
(ulimit -f $((20 * 1024))
 exec "$VIRT_NBDE_FLEET" keys list "${ask[@]}" --state st) > "$out" 2> "$err" ||
  status=$?
assert_status 1
assert_stderr_matches '^virt-nbde-fleet: error: .*st: File too large'
assert_stderr_has 'the same command goes on'
jq -e . st/journal > /dev/null || fail 'a line of the journal is no JSON'
before=$(count_verdicts st keys 'done')
[ "$before" -gt 0 ] && [ "$before" -lt 40 ] || fail "$before are done"

fleet keys list "${ask[@]}" --state st
assert_status 0
assert_equal 40 "$(count_verdicts st keys 'done')" 'done'
assert_stderr_has "($before in earlier runs)"
assert_journal_whole st

# A filesystem that is full, where one can be made.
cat > in-tmpfs <<'END'
#!/bin/bash
mkdir -p full
mount -t tmpfs -o size=300k,mode=0700 tmpfs full || exit 77
status=0
"$@" --state full/st > full.out 2> full.err || status=$?
echo $status > full.status
# What was kept, and what comes of it elsewhere.
cp -r full/st kept
END
chmod +x in-tmpfs
run_command unshare --mount ./in-tmpfs "$VIRT_NBDE_FLEET" keys list "${ask[@]}"
if [ "$status" -ne 0 ]; then
  echo 'no tmpfs can be mounted here: that part was left out'
  exit 0
fi
assert_equal 1 "$(cat full.status)" 'status'
cat full.err > "$err"
assert_stderr_matches '^virt-nbde-fleet: error: .*No space left on device'
assert_stderr_has 'the same command goes on'
before=$(count_verdicts kept keys 'done')
[ "$before" -gt 0 ] && [ "$before" -lt 40 ] || fail "$before are done"
# With room it goes on; keys for which there was none are an error of their guests.
mkdir -p full/st
fleet keys list "${ask[@]}" --state kept --keys-dir "$tmp/full/st/keys" -q
[ "$(count_verdicts kept keys 'done')" -gt "$before" ] || fail 'it does not go on'
assert_journal_whole kept
