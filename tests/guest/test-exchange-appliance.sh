#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --exchange=appliance has clevis in the appliance open the devices.  Where that
# cannot be, since libguestfs has no clevis_luks_unlock or its appliance no
# clevis, it is an error that says so; --exchange=host is what is done anyway.
#
# needs: appliance
# timeout: 1500

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires supermin curl jq

nbde -a gone.img --exchange=host -i
assert_status 1
assert_one_error 'gone\.img: No such file'

nbde --machine-readable
if ! grep -qx exchange-appliance "$out"; then
  # Before anything is started.
  echo content > disk.img
  nbde -a disk.img --exchange=appliance -i
  assert_status 1
  assert_one_error '--exchange=appliance: .* has no clevis_luks_unlock'
  assert_stderr_lacks 'Starting the appliance'
  exit 0
fi

# The binding names the server as the appliance sees it.
start_tang one
curl -s "$TANG_URL_one/adv" > one.adv || fail 'no advertisement'
bound_piece bound.luks tang \
  "$(jq -n --arg url "http://$appliance_host:$TANG_PORT_one" \
       --arg adv "$PWD/one.adv" '{url: $url, adv: $adv}')"
piece closed.luks
disk_of disk.img bound.luks closed.luks
sha256sum disk.img > sum
before=$(connections one)

nbde --format=raw -a disk.img --exchange=appliance -i
assert_status 1
assert_one_error '--exchange=appliance: there is no clevis in the appliance'
assert_equal "$before" "$(connections one)" 'connections'

extended_appliance || fail 'no appliance with clevis'
export LIBGUESTFS_PATH="$extended" LIBGUESTFS_CACHEDIR="$extended"
nbde --format=raw -a disk.img --exchange=appliance -i
assert_status 0
sha256sum --quiet -c sum || fail 'the disk was changed'
assert_stdout_matches '^ +Unlocked by: +clevis in the appliance$'
assert_stdout_matches \
  "^ +Opened as: +/dev/mapper/luks-$(uuid_of bound.luks)\$"
assert_equal 1 "$(grep -c 'Opened as:' "$out")" 'open devices'
[ "$(connections one)" -gt "$before" ] || fail 'the server was not asked'
