#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Keys in --keys-dir that virt-nbde-fleet has written are its own, whatever became of
# the guest since: a run that was killed, or a server that could not be reached, leaves
# no guest that cannot be done any more.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq

start_tang one
bound_to one
bound_piece new.luks tang "$(tang_config one)"
clevis_pass one.luks 1 one.key
clevis_pass new.luks 1 new.key
guests_of a 1 one.luks list
cp "$VIRT_NBDE_FLEET" .

# Somebody kills the parent, or the child is too slow, when keys are written.
cat > virt-nbde-unlock <<END_OF_COMMAND
#!/bin/bash
"$VIRT_NBDE_UNLOCK" "\$@" || exit
case " \$* " in *\ --help\ * | *\ --list\ *) exit 0 ;; esac
[ ! -e kill-now ] || { rm kill-now; kill -KILL \$PPID; }
[ ! -e wait-now ] || { rm wait-now; exec sleep 60; }
END_OF_COMMAND
chmod +x virt-nbde-unlock
VIRT_NBDE_FLEET=./virt-nbde-fleet

for format in dir args secret json; do
  keys=(keys list "${ask[@]}" --keys-dir "kd-$format" --keys-format "$format")
  touch kill-now
  fleet "${keys[@]}" --state "st-$format"
  assert_status 137
  [ -e "kd-$format/a-1" ] || fail 'no keys'
  fleet "${keys[@]}" --state "st-$format"
  assert_status 0

  rm -r "kd-$format"
  touch wait-now
  fleet "${keys[@]}" --state "st-$format" --timeout 1
  assert_status 1
  assert_verdict "st-$format" a-1 keys killed
  fleet "${keys[@]}" --state "st-$format"
  assert_status 0

  # The disk has changed, and the server is not there at first.
  cp --sparse=always new.luks a-1.img
  touch -d '2 seconds' a-1.img
  end_server one
  fleet "${keys[@]}" --state "st-$format" --retries 0 --tang-retries 0
  assert_status 4
  start_tang one "$TANG_PORT_one"
  fleet "${keys[@]}" --state "st-$format"
  assert_status 0
  cp --sparse=always one.luks a-1.img
  touch -d '1 hour ago' a-1.img
done
assert_same_file new.key kd-dir/a-1/0
assert_same_file new.key kd-args/a-1.d/0

# For another state folder they are somebody's.
sha256sum kd-json/a-1 > sum
fleet keys list "${ask[@]}" --state other --keys-dir kd-json --keys-format json
assert_status 1
assert_verdict other a-1 keys error
sha256sum --quiet -c sum >&2 || fail 'keys of another fleet were replaced'
