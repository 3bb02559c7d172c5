#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Secrets in the memory of the tool and of all processes that it has: while the
# appliance is launched, in locked memory of the vault only; when the command of
# --run has begun, none.  Where some are left, it is not begun.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/memory.sh"
requires_tang
requires_appliance
requires gdb

start_tang one
bound_piece d.luks tang "$(tang_config one)"
cryptsetup token export --token-id 0 d.luks | jq -j .jwe.protected > d.jwe
add_device_secrets d d.luks 1
add_tang_secrets d d.jwe "$TANG_DIR_one"
disk_of disk.img d.luks

# The command: say that it was begun, and wait.
mkfifo fifo
cat > command.sh <<'EOF'
: > begun
read -r < fifo
exit 7
EOF
is_begun ()
{
  [ -e begun ]
}

nbde_start --format=raw -a disk.img --tang-keydir "$TANG_DIR_one" \
  --appliance=always --run -- bash command.sh
wait_for 300 find_qemu || fail 'no qemu was started'
find_vault || fail 'there is no vault'
scan_run
assert_only_locked 'at the launch'
assert_only_in_vault 'at the launch'
assert_found "^$vault .* d-server locked"

wait_for 300 is_begun || fail 'the command was not begun'
scan_run
assert_nothing_found 'when the command has begun'
# Nor is there anything left of the appliance, not even its exit status.
! pgrep -l -P "$nbde_pid" qemu || fail 'qemu was not waited for'
echo > fifo
nbde_wait 60
assert_status 7
assert_no_leftovers
rm begun

# While a server is waited for, without an appliance.
start_tang stalled
bound_piece stalled.luks tang "$(tang_config stalled)"
disk_of disk.img d.luks stalled.luks
port=$TANG_PORT_stalled
replace_server stalled start_blackhole
has_key ()
{
  scan_run && grep -q 'd-passphrase' found
}
nbde_start --format=raw -a disk.img --tang-allow 127.0.0.1 \
  --tang-timeout 300 --deadline 300 --run -- bash command.sh
wait_for 300 find_vault || fail 'there is no vault'
wait_for 300 has_key || fail 'no passphrase was recovered'
! find_qemu || fail 'an appliance was started'
scan_run
assert_only_locked 'when a server is waited for'
assert_only_in_vault 'when a server is waited for'

# What a careless function would leave behind: a copy in ordinary memory, which is
# found, and a key that nobody releases.
octal=$(od -An -v -to1 d.pass | tr -s ' \n' '\\')
gdb -p "$vault" -batch -ex "call (char *) strdup (\"${octal%\\}\")" \
  -ex 'call (void *) secret_new (100)' > gdb.log 2>&1
scan_run
assert_found "^$vault .* d-passphrase open" "$(cat gdb.log)"
end_server stalled
start_tang stalled "$port"
nbde_wait 300
assert_status 1
assert_one_error 'internal error: .* bytes of keys were not released'
assert_no_leftovers
[ ! -e begun ] || fail 'the command was begun'
