#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The container image: built, and run as packaging/container/README.md says, without
# root, capabilities or a place to write to, and under the seccomp profile of containers.
# It opens a qcow2 disk, which needs Landlock under that profile.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/fleet.sh"
. "$top_srcdir/tests/lib/fleet-world.sh"
. "$top_srcdir/tests/lib/documents.sh"
. "$top_srcdir/tests/lib/containers.sh"
requires_tang
requires jq qemu-img

use_document ../../packaging/container/README.md
start_tang one
fleet_world one
bound_as tang one.luks
mkdir guests
qemu-img convert -f raw -O qcow2 one.luks guests/web1.qcow2
mkdir -m 700 state
chown 65534:65534 state guests/web1.qcow2
# shellcheck disable=SC2154
jq -nc --arg map "http://tang.example.com=$TANG_URL_one" \
  '{name: "web1", disks: [{path: "/srv/guests/web1.qcow2", format: "qcow2"}],
    options: ["--tang-map=\($map)"]}' > guests/guests.list

ln -s "$top_srcdir/packaging" .
run_block build top_builddir="$top_builddir"
assert_status 0
size=$(podman image inspect --format '{{.Size}}' virt-nbde-fleet)
[ "$size" -lt 100000000 ] || fail "the image has $size bytes"

run_block list
assert_status 0
assert_verdict state web1 list 'done'
assert_equal '"host"' "$(jq .document.looked_from state/guests/web1/list.json)" \
  'where the disk was looked at'
run_block keys
assert_status 0
assert_verdict state web1 keys 'done'
cryptsetup open --test-passphrase --key-file state/keys/web1/0 one.luks ||
  fail 'the key is not one'
assert_equal 65534 "$(stat -c %u state/keys/web1/0)" 'the owner of the key'

# It is the container that says so: nothing to change, no privileges, a profile.
run_command podman run --rm --read-only --cap-drop=ALL \
  --security-opt no-new-privileges --user 65534:65534 --network=none \
  -v "$(command -v cat):/usr/bin/cat:ro" --entrypoint cat \
  virt-nbde-fleet /proc/self/status
assert_status 0
for line in 'NoNewPrivs:.1' 'Seccomp:.2' 'CapBnd:.0*' 'CapEff:.0*' \
            'Uid:.65534.65534.65534.65534'; do
  assert_stdout_matches "^$line\$"
done

# The image has no shell.
run_command podman run --rm --entrypoint sh virt-nbde-fleet -c true
[ "$status" -ne 0 ] || fail 'the image has a shell'

# A profile that answers as that of containerd does: what is not allowed is "not
# permitted" and not "unknown".
jq '.defaultErrno = "EPERM" | .defaultErrnoRet = 1' \
  /usr/share/containers/seccomp.json > eperm.json
run_command podman run --rm --read-only --cap-drop=ALL \
  --security-opt no-new-privileges --security-opt seccomp=eperm.json \
  --user 65534:65534 --network=none -v "$PWD/guests:/srv/guests:ro" \
  --entrypoint virt-nbde-unlock virt-nbde-fleet \
  -a /srv/guests/web1.qcow2 --list --appliance=never
assert_status 0
assert_stdout_has http://tang.example.com

# It is the profile that is asked: without Landlock, only raw disks are read.
jq '(.syscalls[].names) -= ["landlock_create_ruleset", "landlock_add_rule",
                            "landlock_restrict_self"]' \
  /usr/share/containers/seccomp.json > no-landlock.json
run_command podman run --rm --read-only --cap-drop=ALL \
  --security-opt no-new-privileges --security-opt seccomp=no-landlock.json \
  --user 65534:65534 --network=none -v "$PWD/guests:/srv/guests:ro" \
  --entrypoint virt-nbde-unlock virt-nbde-fleet \
  -a /srv/guests/web1.qcow2 --list --appliance=never
assert_status 1
assert_stderr_has Landlock

# Scanners find the packages.
id=$(podman create virt-nbde-fleet)
mkdir copied
podman cp "$id:/var/lib/dpkg/status.d" copied
podman rm "$id" > rm.out
grep -rqx 'Package: libcryptsetup12' copied || fail 'the packages are not named'
all_executed
