#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --exchange=appliance, with a libguestfs that has no clevis_luks_unlock, is an
# error that says so, before anything is started; --exchange=host is what is
# done anyway.

. "$(dirname "$0")/functions.sh"

nbde --machine-readable
! grep -qx exchange-appliance "$out" || skip 'this libguestfs has it'

echo content > disk.img
nbde -a disk.img --exchange=appliance -i
assert_status 1
assert_one_error '--exchange=appliance: .* has no clevis_luks_unlock'
assert_stderr_lacks 'Starting the appliance'

nbde -a gone.img --exchange=host -i
assert_status 1
assert_one_error 'gone\.img: No such file'
