#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --output-format=json: whatever goes wrong after the disk was looked at, the
# document is printed, with that error in it, and the devices; --output-keys
# and --run with a device that has no key also name what to try.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/json.sh"
requires_tang
requires_appliance

start_tang one
bound_piece a.luks tang "$(tang_config one)"
piece unbound.luks
disk_of disk.img a.luks unbound.luks
json=(--format=raw -a disk.img --tang-allow 127.0.0.1 --output-format=json)

#   assert_told NAME STATE PATTERN: the last error of the document, and what
#   became of the first device
assert_told ()
{
  assert_status 1
  assert_valid "$1"
  assert_json "$1" '.devices | map(.device) == ["/dev/sda1", "/dev/sda2"]'
  assert_json "$1" ".devices[0].state == \"$2\""
  jq -r '.errors[-1].message' "$1.json" | grep -qE -e "$3" ||
    fail "$1.json: the last error is not '$3'"
  assert_stderr_matches "error: .*$3"
}

# A device without a key, and two actions that need one of each.
nbde "${json[@]}" --output-keys keys
assert_told lines opened 'keys was not written: /dev/sda2 has no key'
assert_json lines '.errors[-1].hint | contains("--key /dev/sda2:file:FILE") and
  contains("--output-keys-format dir|args|secret|json")'
assert_no_file keys

nbde "${json[@]}" --run -- cat '{stdin}'
assert_told run opened '/dev/sda2 has no key'
assert_json run '.errors[-1].hint | contains("--key /dev/sda2:file:FILE") and
  contains("{keys}")'

# Something happens to the host while the appliance starts.
#   meanwhile COMMAND -- [ARGUMENT...]
meanwhile ()
{
  local command=$1
  shift 2
  nbde_start "${json[@]}" --appliance=always "$@"
  wait_for 60 find_qemu || fail 'no appliance was started'
  eval "$command"
  nbde_wait 300
}
meanwhile 'echo mine > requests' -- --list --export-requests requests
assert_told export untried 'requests: File exists'
assert_equal mine "$(cat requests)" 'the file that was there'
assert_json export '.requests == null'

# The appliance dies when it is asked what is in it, and so does what comes
# after.
nbde_start "${json[@]}" --inspect --output-keys folder --output-keys-format dir
wait_for 300 grep -q 'Inspecting the guest' "$err" || fail 'no inspection'
find_qemu || fail 'there is no appliance'
kill -KILL "$qemu"
nbde_wait 60
assert_told inspect opened 'libguestfs: '
assert_json inspect '.operating_systems == null'
clevis_pass a.luks 1 a.key
assert_same_file a.key folder/0
