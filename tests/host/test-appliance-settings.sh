#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --memsize, --smp, --network, --format, --blocksize: what qemu is started
# with.  A qemu that writes its arguments down and ends stands in for it.

. "$(dirname "$0")/../lib/functions.sh"
requires guestfish qemu-img
choose_appliance

truncate -s 1M one.img
truncate -s 1M two.img

cat > hv <<'END'
#!/bin/bash
case " $* " in
  *' -initrd '*) printf '%s\n' "$@" > "$NBDE_ARGUMENTS"; exit 1 ;;
esac
exec qemu-system-x86_64 "$@"
END
chmod +x hv
mkdir cache
export LIBGUESTFS_CACHEDIR=$tmp/cache LIBGUESTFS_HV=$tmp/hv
export NBDE_ARGUMENTS=$tmp/arguments

settings ()
{
  rm -f arguments
  nbde "$@" --list --appliance=always
  assert_status 1
  assert_one_error 'the appliance did not start'
  [ -s arguments ] || fail 'qemu was not started'
}

# The argument behind another.
argument ()
{
  grep -x -A 1 -e "$1" arguments | tail -n 1
}

# The defaults: that of libguestfs plus 1 GiB, and a network.
settings --format=raw -a one.img
default=$(guestfish get-memsize)
assert_equal $((default + 1024)) "$(argument -m)" memory
grep -q -x -e -netdev arguments || fail 'there is no network'
! grep -q -x -e -smp arguments || assert_equal 1 "$(argument -smp)" processors

settings --format=raw -a one.img --memsize 640 --smp 3 --no-network
assert_equal 640 "$(argument -m)" memory
assert_equal 3 "$(argument -smp)" processors
! grep -q -x -e -netdev arguments || fail 'there is a network'

# Disks are behind overlays or snapshots: none is opened for writing.
settings --format=raw -a one.img --format --blocksize=4096 -a two.img
! grep -E "file=$tmp/(one|two)\.img" arguments | grep -v -e readonly=on \
    -e snapshot=on ||
  fail 'a disk is opened for writing'
grep -q 'logical_block_size=4096' arguments ||
  fail '--blocksize=4096 is not passed on'
