#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# While the appliance is launched, the host reads a disk whose server does not
# answer.  The launch fails: the error comes at once, nothing is waited for.

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires guestfish python3
choose_appliance

start_tang one
bound_piece disk.img tang "$(tang_config one)"

# A server of the disk that is slow where the encrypted data begins:
#   start_disk NAME SECONDS
start_disk ()
{
  start_server "$1" "exec $(printf '%q ' \
    "$top_srcdir/tests/lib/slow-nbd.py" "$tmp/disk.img" "$2" \
    $((2 * mib)) $((2 * mib + 4096)) "$tmp/asked")"
}

# A qemu that ends when the host waits.
cat > hv <<END
#!/bin/bash
case " \$* " in
  *' -initrd '*)
    for ((i = 0; i < 600; i++)); do
      [ ! -e ${tmp@Q}/asked ] || break
      sleep 0.1
    done
    echo 'broken on purpose' >&2
    exit 1 ;;
esac
exec qemu-system-x86_64 "\$@"
END
chmod +x hv
mkdir cache
export LIBGUESTFS_CACHEDIR=$tmp/cache LIBGUESTFS_HV=$tmp/hv

# A server that is not slow has answered when the launch has failed.
start_disk fast 0
nbde -a "nbd://127.0.0.1:$TANG_PORT_fast" --tang-keydir "$TANG_DIR_one" --inspect
assert_status 1
assert_one_error 'the appliance did not start: .*broken on purpose'
[ -e asked ] || fail 'the host has not read what is encrypted'
rm asked

# The host would wait for 30 seconds.
start_disk slow 86400
nbde_start -a "nbd://127.0.0.1:$TANG_PORT_slow" --tang-keydir "$TANG_DIR_one" \
  --inspect
wait_for 60 test -e asked || fail 'the host has not read what is encrypted'
nbde_wait 15
assert_status 1
assert_one_error 'the appliance did not start: .*broken on purpose'
assert_no_leftovers
