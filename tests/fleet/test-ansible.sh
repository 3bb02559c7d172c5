#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The role of docs/fleet/ansible, by a real Ansible on this host: the second run
# changes nothing, what is out of reach and what failed fail the play after the reports
# were gathered, and are done when they can be.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/fleet.sh"
. "$top_srcdir/tests/lib/fleet-world.sh"
. "$top_srcdir/tests/lib/documents.sh"
requires_tang
requires ansible-playbook jq

use_document ansible/roles/virt_nbde_fleet/README.md
cp -r "$top_srcdir/docs/fleet/ansible" play
chmod -R u+w play
export ANSIBLE_HOME=$tmp/ansible ANSIBLE_LOCAL_TEMP=$tmp/ansible/tmp \
  ANSIBLE_REMOTE_TEMP=$tmp/ansible/tmp ANSIBLE_NOCOLOR=1 \
  ANSIBLE_LOCALHOST_WARNING=false ANSIBLE_PIPELINING=true

start_tang one
start_tang away
fleet_world one away
bound_as tang one.luks
bound_as away away.luks
mkdir guests
cp one.luks guests/web1.img
cp away.luks guests/db1.img
sed -i -e "s,/srv/guests,$tmp/guests,; s,/var/lib/virt-nbde-fleet,$tmp/fleet," \
  play/inventory.yml
grep -qF "$tmp/guests/web1.img" play/inventory.yml || fail 'no guests'
cd play || exit
# Nobody waits for the server that is away.
export ANSIBLE_PLAYBOOK_DIR=$PWD
sed -i 's/^    virt_nbde_fleet_options: \[/&--retries, "0", /' inventory.yml

# What Ansible counts:  count_is WHAT NUMBER
count_is ()
{
  assert_stdout_matches "^localhost .* $1=$2 "
}
# The exit status of an action, as the play has shown it.
assert_action ()
{
  assert_stdout_has "(item=$1: $2)"
}
state=$tmp/fleet/state

# One of two servers is away: the play fails, and its reports say why.
end_server away
run_block playbook
assert_status 2
count_is failed 1
assert_action list 0
assert_action keys 4
assert_verdict "$state" web1 keys 'done'
assert_verdict "$state" db1 keys unreachable
jq -e . reports/localhost.json > /dev/null || fail 'the report is no JSON'
grep -q db1 reports/localhost.json || fail 'the report lacks a guest'
grep -qi '</html>' reports/localhost.html || fail 'the HTML is not whole'

# It is back.
replace_server away start_tang
run_block playbook
assert_status 0
count_is failed 0
assert_verdict "$state" db1 keys 'done'
assert_stdout_matches 'changed: \[localhost\] => \(item=keys\)'
cryptsetup open --test-passphrase --key-file "$state/keys/db1/0" ../away.luks ||
  fail 'the key of db1 is not one'

# Again: nothing to do.
cp -r "$state/guests" ../before
run_block playbook
assert_status 0
count_is changed 0
for record in ../before/*/keys.json; do
  cmp "$record" "$state/guests/${record#../before/}" ||
    fail 'the second run has done something'
done

# A guest that fails for good is done again when that is asked for.
cp ../one.luks ../refused.luks
(cd .. && edit_jwe refused.luks '.clevis.tang.adv.keys = []')
cp ../refused.luks ../guests/new1.img
sed -i 's/^      - name: web1$/      - name: new1\n        disks: [{path: "GUESTS\/new1.img"}]\n&/' \
  inventory.yml
sed -i "s,GUESTS,$tmp/guests," inventory.yml
run_block playbook
assert_status 2
assert_action keys 2
assert_verdict "$state" new1 keys failed
cp ../one.luks ../guests/new1.img
run_block playbook
assert_status 2
assert_verdict "$state" new1 keys failed
run_block retry
assert_status 0
assert_verdict "$state" new1 keys 'done'
jq -e . reports/localhost.json > /dev/null || fail 'the report is no JSON'

# No key is anywhere in what was shown or gathered.
for key in "$state"/keys/*/0; do
  ! grep -rqFf "$key" reports "$out" "$err" "$tmp/ansible" ||
    fail "a key is in the reports"
done
all_executed
