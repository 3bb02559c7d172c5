#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The whole tool, on the host: while it writes the keys of a guest, only the files of
# its disk are opened, and no appliance is looked for.  What a guest has written to
# its disk so that other files are opened is refused before qemu-nbd is started, or
# is what is on a raw disk.  strace is the witness.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/strace.sh"
. "$top_srcdir/tests/guests/hostile-disks.sh"
requires_tang
requires qemu-img qemu-nbd

disks=$PWD/disks
# Of libraries, which are told about the processor, the process and the system.
system_files='@(/dev/random|/etc/ssl/*|/proc/@([0-9]*|filesystems|sys/*|meminfo)|/sys/devices/system/*|'
system_files+="$tmp/keys|$tmp/keys/*)"
mkdir keys "$disks"
start_tang one
cd "$disks"
bound_piece piece tang "$(tang_config one)"
clevis_pass piece 1 expected
disk_of disk.raw piece
qemu-img create -q -f qcow2 -b disk.raw -F raw disk.qcow2
cp disk.raw neighbour

# Write the keys; only these files of the disks were opened.
#   keys_of TRACE OPTION... -- FILE...
keys_of ()
{
  local trace=$1 options=()
  shift
  while [ "$1" != -- ]; do
    options+=("$1")
    shift
  done
  shift
  # It says itself what is done with strace.
  traced "$trace" "$VIRT_NBDE_UNLOCK" "${options[@]}" --tang-allow 127.0.0.1 \
    --output-keys "$tmp/keys/list"
  assert_status 0
  assert_same_file expected "$tmp/keys/list"
  rm "$tmp/keys/list"
  opened_only "$trace" "$@"
}

# The programs that were started:  programs TRACE
programs ()
{
  sed -n 's,^.*execve("\([^"]*/\)\?\([^"/]*\)".* = 0$,\2,p' "$1"
}

keys_of "$tmp/trace.raw" --format=raw -a disk.raw -- disk.raw
assert_equal virt-nbde-unlock "$(programs "$tmp/trace.raw")" 'programs'
keys_of "$tmp/trace.qcow2" --format=qcow2 -a disk.qcow2 -- disk.qcow2 disk.raw
assert_equal $'virt-nbde-unlock\nqemu-nbd' "$(programs "$tmp/trace.qcow2")" \
  'programs'
# The witness sees another file.
assert_fails opened_only "$tmp/trace.qcow2" disk.qcow2
for trace in "$tmp"/trace.*; do
  ! grep -E '/dev/kvm|supermin|qemu-system' "$trace" > "$tmp/others" ||
    fail "an appliance is looked for: $(head -n 3 "$tmp/others")"
done

# A server that no disk may make anybody ask, and files that no disk may name.
start_blackhole nbd
hostile_disks "$disks/neighbour" "nbd://127.0.0.1:$TANG_PORT_nbd" ||
  fail 'the disks cannot be made'
hostile_qcow2 hostile-proc.img /proc/self/environ
for action in --list --output-keys="$tmp/keys/list"; do
  for name in qcow2-server qcow2-json qcow2-data vmdk-descriptor vmdk-shell \
                qcow proc; do
    for never in auto never; do
      traced "$tmp/trace" "$VIRT_NBDE_UNLOCK" --appliance=$never \
        -a hostile-$name.img "$action"
      assert_status 1
      assert_one_error "hostile-$name.img: "
      assert_no_stdout
      opened_only "$tmp/trace" hostile-$name.img
      assert_equal virt-nbde-unlock "$(programs "$tmp/trace")" 'programs'
    done
  done
done
assert_no_file "$tmp/keys/list"

# All of them are raw disks, on which there is nothing.
hostile_qcow2 hostile-shadow.img /etc/shadow
for name in "${hostile[@]}" hostile-proc.img hostile-shadow.img; do
  traced "$tmp/trace" "$VIRT_NBDE_UNLOCK" --appliance=never --format=raw \
    -a "$name" --list
  if [ "$name" = hostile-luks.img ]; then
    # But for this one, which is LUKS.
    assert_stdout_has '/dev/sda: LUKS1'
  else
    assert_no_stdout
    assert_stderr_has 'error: no LUKS device was found'
  fi
  assert_status 3
  opened_only "$tmp/trace" "$name"
  assert_equal virt-nbde-unlock "$(programs "$tmp/trace")" 'programs'
done
assert_equal 0 "$(connections nbd)" 'connections to the server'
