#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Where the guests of a fleet come from: LIST, a folder, libvirt.  All of it is
# checked before anything is started.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq

start_tang one
bound_to one

# What is wrong, where; nothing is made.
cat > wrong <<'END'
{"name": "a", "disks": [{"path": "one.luks"}]}
{"name": "a", "disks": [{"path": "one.luks"}]}
{"name": "b", "disks": [{"path": "one.luks"}], "options": ["--output-keys=x"]}
{"name": "c" "disks": []}
one.luks
-x
END
fleet list wrong --state st
assert_status 1
assert_no_stdout
assert_stderr_has \
  "virt-nbde-fleet: error: wrong:2:2: the name 'a' is that of line 1, too"
assert_stderr_has \
  'virt-nbde-fleet: error: wrong:3:48: there is no option --output-keys'
assert_stderr_has "virt-nbde-fleet: error: wrong:4:20: '}' expected near"
assert_stderr_has \
  "virt-nbde-fleet: error: wrong:6:1: the name '-x' begins with '-'"
assert_equal 4 "$(wc -l < "$err")" 'lines of error'
assert_no_file st

# A value that virt-nbde-unlock does not take is found before 500 guests are
# started with it.
echo one.luks > list
fleet list list --state st --deadline=never
assert_status 1
assert_stderr_has "virt-nbde-unlock: option --deadline: 'never': not a number"
fleet keys list --state st --keys-format=paper
assert_status 1
assert_stderr_has 'the formats are: lines'
assert_no_file st/guests/one.luks

# Plain lines, with empty ones and remarks; a format for all of them.
cp --sparse=always one.luks web.img
printf '# the web\r\nweb.img\r\n\none.luks\n' > list
fleet list list --format=raw --state st
assert_status 0
assert_equal "web.img: done: $TANG_URL_one
one.luks: done: $TANG_URL_one" "$(cat "$out")" 'lines'
jq -e --arg path "$tmp/web.img" '
  .name == "web.img" and .verdict == "done" and .action == "list" and
  .disks == [{path: $path, format: "raw"}] and .domain == null and
  .exit_status == 0 and .signal == null and .tries == 1 and .errors == [] and
  (.document.devices[0].luks.tokens | length) == 1' \
  st/guests/web.img/list.json > /dev/null || fail 'the record'

# From standard input.
last_command='fleet list -'
status=0
"$VIRT_NBDE_FLEET" list - --state st2 < list > "$out" 2> "$err" || status=$?
assert_status 0

# A folder.
mkdir disks disks/folder.img
cp --sparse=always one.luks disks/b.img
cp --sparse=always one.luks disks/a.raw
echo > disks/README.md
fleet list disks --state st3
assert_status 0
assert_equal 'a.raw b.img' "$(cut -d : -f 1 "$out" | xargs)" 'images'
# Its name does not end the work on the others.
cp --sparse=always one.luks disks/-evil.img
fleet list disks --state st3
assert_status 0
assert_equal 'a.raw b.img' "$(cut -d : -f 1 "$out" | xargs)" 'images'
assert_stderr_has "disks: a disk is left out: the name '-evil.img' begins with '-'"

# A guest of several disks, and options of its own.
printf '{"name": "two", "disks": [{"path": "%s"}, {"path": "%s", "format": "raw"}],
' one.luks web.img | tr -d '\n' > list
echo '"options": ["--tang-allow", "127.0.0.1"]}' >> list
fleet keys list --state st4
assert_status 0
assert_equal 2 "$(jq '.document.devices | length' st4/guests/two/keys.json)" \
  'devices'

# The guests of a libvirt, whose disks the children find.
domain ()
{
  echo "<domain type='test'><name>$1</name><memory>65536</memory>"
  echo '<os><type>hvm</type></os><devices><disk type="file" device="disk">'
  echo "<driver name='qemu' type='raw'/><source file='$tmp/$2'/>"
  echo '<target dev="vda" bus="virtio"/></disk></devices></domain>'
}
{ echo '<node>'; domain zoe one.luks; domain abe web.img; echo '</node>'; } \
  > node.xml
fleet list --domains -c "test://$tmp/node.xml" --state st5
assert_status 0
assert_equal 'abe zoe' "$(cut -d : -f 1 "$out" | xargs)" 'domains'
assert_equal abe "$(jq -r .domain st5/guests/abe/list.json)" 'domain'

# Nothing there.
: > empty
fleet list empty --state st6
assert_status 1
assert_stderr_has 'empty: there is no guest'
fleet list nowhere --state st6
assert_status 1
assert_stderr_has 'nowhere: No such file or directory'

# What is no state folder is left alone.
fleet list list --state disks
assert_status 1
assert_stderr_has 'disks: it is not empty, and no state folder of this program'
