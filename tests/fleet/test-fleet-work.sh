#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# virt-nbde-fleet at work: list, preflight, keys and run, for guests of several
# servers; what is printed and kept, and how it exits.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq qemu-img

start_tang one
start_tang two
bound_to one
bound_to two
clevis_pass one.luks 1 one.key
clevis_pass two.luks 1 two.key
guests_of a 4 one.luks list
guests_of b 3 two.luks list
qemu-img create -q -f qcow2 -b one.luks -F raw c.qcow2
echo '{"name": "c", "disks": [{"path": "c.qcow2", "format": "qcow2"}]}' >> list

before=$(connections one)
fleet list list --state st
assert_status 0
assert_stdout_has "b-1: done: $TANG_URL_two"
assert_equal 'a-1 a-2 a-3 a-4 b-1 b-2 b-3 c' \
  "$(cut -d : -f 1 "$out" | xargs)" 'order'
assert_equal "$before" "$(connections one)" 'connections'

fleet preflight list "${ask[@]}" --state st
assert_status 0
assert_equal 8 "$(count_verdicts st preflight 'done')" 'preflight'

fleet keys list "${ask[@]}" --state st -P 3
assert_status 0
assert_equal 8 "$(grep -c ': done$' "$out")" 'lines'
assert_stderr_matches '^virt-nbde-fleet: 8 guests, keys: 8 done; '
for i in 1 2 3 4; do assert_same_file one.key st/keys/a-$i/0; done
for i in 1 2 3; do assert_same_file two.key st/keys/b-$i/0; done
assert_same_file one.key st/keys/c/0
jq -e --arg url "$TANG_URL_one" '
  .verdict == "done" and .document.devices[0].unlocked_by.servers == [$url]' \
  st/guests/a-1/keys.json > /dev/null || fail 'the record'
jq -se --arg url "$TANG_URL_one" '
  map (select (.event == "end" and .guest == "a-1" and .action == "keys")) |
  length == 1 and (.[0] | .verdict == "done" and .user != null and
    (.devices[0] | .servers == [$url] and .token == 0 and .keyslot == 1))' \
  st/journal > /dev/null || fail 'the journal'
assert_journal_whole st

# Keys that somebody has taken away are written again, and only those.
rm -r st/keys/a-1
fleet keys list "${ask[@]}" --state st
assert_status 0
assert_same_file one.key st/keys/a-1/0
assert_journal_whole st

# Keys are in keys/ and nowhere else, and nobody else may look.
no_key_in ()
{
  local file
  for file in one.key two.key; do
    ! grep -rqaF --exclude-dir=keys -f "$file" "$@" ||
      fail "a key is in $*"
  done
}
no_key_in st "$out" "$err"
cp one.key st/planted
assert_fails no_key_in st
rm st/planted
assert_equal '' "$(find st ! -type s -perm /077)" 'open to others'

# Other formats, elsewhere.
fleet keys list "${ask[@]}" --state st-secrets --keys-dir secrets --keys-format secret -q
assert_status 0
assert_no_stdout
grep -q 'kind: Secret\|"kind": *"Secret"' secrets/a-1 || fail 'no Secret'

# Names of which one would take the other's files.
cp --sparse=always one.luks x
cp --sparse=always one.luks x.d
printf 'x\nx.d\n' > beside
fleet keys beside "${ask[@]}" --state st-beside --keys-format args
assert_status 1
assert_stderr_has "the guests 'x' and 'x.d' would have files of the same name"

# A command for each guest: words, output, status.
cat > ./command <<'END'
#!/bin/bash
echo "$1 has $2"
shift 2
[ "$1" = --key ] && cat "${2#*:file:}" > "$OUTPUT.key" && echo >&2 'said so'
[ "${GUEST_FAILS-}" != "$OUTPUT" ] || exit 7
END
chmod +x command
mkdir given
cat > each <<'END'
#!/bin/bash
name=$1 disk=$2
shift 2
OUTPUT=given/$name exec ./command "$name" "$disk" "$@"
END
chmod +x each
export GUEST_FAILS=given/a-2
fleet run list "${ask[@]}" --state st -- ./each '{name}' '{disks}' '{keys}'
unset GUEST_FAILS
assert_status 1
assert_stdout_has "a-1 has $tmp/a-1.img"
assert_stdout_has 'said so'
assert_stdout_matches '^a-2: command failed'
assert_stdout_matches '^b-3: done'
assert_same_file one.key given/a-1.key
assert_same_file two.key given/b-3.key
jq -e '.verdict == "command-failed" and .command_status == 7 and
  .exit_status == 7' st/guests/a-2/run.json > /dev/null || fail 'record of a-2'
grep -q 'said so' st/guests/a-1/run.log || fail 'no log'

# Done is done; a command that failed waits for --retry-failed.
rm given/*
fleet run list "${ask[@]}" --state st -- ./each '{name}' '{disks}' '{keys}'
assert_status 1
assert_stdout_matches '^a-2: command failed \(in an earlier run\)'
assert_equal '' "$(ls given)" 'what was run again'
fleet run list "${ask[@]}" --state st --retry-failed -- ./each '{name}' '{disks}' '{keys}'
assert_status 0
assert_equal 'a-2.key' "$(ls given)" 'what was run again'
assert_equal 2 "$(jq .tries st/guests/a-2/run.json)" 'tries'

# Another command is other work.
fleet run list "${ask[@]}" --state st -- echo other '{name}'
assert_status 0
assert_stdout_has 'other c'

# A command that is not there.
fleet run list "${ask[@]}" --state st -q -- ./nowhere
assert_status 1
assert_stdout_matches '^a-1: error: ./nowhere: No such file'

# For programs: an object for each guest, and the sum.
fleet list list --state st-json --machine-readable
assert_status 0
jq -se 'map (select (.type == "guest")) | length == 8 and
  all (.verdict == "done" and .before == false)' "$out" > /dev/null ||
  fail 'JSON of guests'
jq -se '.[-1] | .type == "summary" and .verdicts.done == 8' "$out" > /dev/null ||
  fail 'JSON of the sum'
[ ! -s "$err" ] || fail 'standard error'
fleet --machine-readable
assert_status 0
assert_equal virt-nbde-fleet "$(head -n 1 "$out")" 'features'

# None with a binding; some that do not open.
piece bare
echo bare > bare-list
fleet keys bare-list "${ask[@]}" --state st-bare
assert_status 3
assert_stdout_matches '^bare: unbound'
fleet keys bare-list "${ask[@]}" --state st-bare
assert_status 3
rm -rf "${TANG_DIR_two:?}"/*
fleet keys list "${ask[@]}" --state st-gone
assert_status 2
assert_equal 3 "$(count_verdicts st-gone keys failed)" 'failed'
assert_stdout_matches '^b-1: failed: /dev/sda: '
