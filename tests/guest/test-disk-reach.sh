#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A raw disk reaches nothing but itself, whatever its guest has written to it:
# headers of other formats that name other files or a server.  The appliance reads
# just the disk's bytes, and no process opens what they name: the kernel (inotify)
# is the witness for the files, the server for connections, strace for sockets and
# other files.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/guests/hostile-disks.sh"
. "$top_srcdir/tests/lib/witness.sh"
requires_tang
requires_appliance
requires strace inotifywait

# What the hostile disks want: another guest.
start_blackhole nbd
piece victim.luks
cp victim.luks "$PWD/victim"
hostile_disks "$PWD/victim" "nbd://127.0.0.1:$TANG_PORT_nbd" ||
  fail 'the disks cannot be made'
sha256sum victim victim.data "${hostile[@]}" > before

watch_files victim victim.data parent.vmdk

# The witnesses see it if qemu follows such a header.
run_command qemu-io -r -f qcow2 -c 'read 0 512' hostile-qcow2.img
opened victim || fail 'inotify does not see that qemu opens a backing file'
run_command timeout 5 qemu-io -r -f qcow2 -c 'read 0 512' \
  hostile-qcow2-server.img
assert_equal 1 "$(connections nbd)" 'connections of qemu-io'
forget_files

run_command strace -f -qq --seccomp-bpf -o trace \
  -e trace=open,openat,openat2,socket,connect,bind \
  "$top_builddir/nbde/guest/helper_drive_checksums" raw "${hostile[@]}"
assert_status 0
sha256sum "${hostile[@]}" > expected
assert_same_file expected "$out"
for disk in "${hostile[@]}"; do
  grep -qF "$disk\"" trace || fail "strace has not seen that $disk was opened"
done
! grep -E '/victim|parent\.vmdk|/dev/cloop' trace > others ||
  fail "opened: $(head -n 3 others)"
! grep -E '(socket|connect|bind)\(.*AF_INET' trace > others ||
  fail "sockets: $(head -n 3 others)"
not_opened

# The tool itself: the other guest is not listed, and one line says what is odd.
# Both the appliance and the host read it.
for appliance in always never; do
  nbde --format=raw -a hostile-qcow2.img -a hostile-qcow2-data.img --list \
    --appliance=$appliance
  assert_status 3
  assert_no_stdout
  assert_stderr_has 'error: no LUKS device was found'
  assert_stderr_has 'warning: hostile-qcow2.img: is read as raw, though'
  not_opened
done

# Where nobody names the format, what is followed is said, and what is more than
# a file of this host is refused before anything is launched.
refused ()
{
  nbde -a "$1" --list
  assert_status 1
  assert_one_error "$1: .*$2"
  assert_stderr_lacks 'Starting the appliance'
}
refused hostile-qcow2-server.img "'nbd://127.0.0.1:$TANG_PORT_nbd/x', which is not a file"
refused hostile-qcow2-json.img "'json:.*, which is not a file"
refused hostile-qcow2-data.img "another file: '$PWD/victim\.data', which is not followed"
refused hostile-vmdk-descriptor.img "another file: '$PWD/victim', which is not followed"
refused hostile-vmdk-shell.img "another file: '$PWD/victim', which is not followed"
refused hostile-qcow.img "format of its backing file '$PWD/victim' is not written"
not_opened

# A domain whose disks are raw, or of which nobody says what they are.
{
  echo "<node><domain type='test'><name>guest</name>"
  echo '<memory>65536</memory><os><type>hvm</type></os><devices>'
  echo "<disk type='file' device='disk'><driver name='qemu' type='raw'/>"
  echo "<source file='$PWD/hostile-qcow2.img'/><target dev='vda'/></disk>"
  echo "<disk type='file' device='disk'>"
  echo "<source file='$PWD/hostile-qcow2-data.img'/><target dev='vdb'/></disk>"
  echo '</devices></domain></node>'
} > node.xml
for appliance in always never; do
  nbde -c "test://$PWD/node.xml" -d guest --list --appliance=$appliance
  assert_status 3
  assert_no_stdout
  assert_stderr_has 'error: no LUKS device was found'
  not_opened
done

assert_equal 1 "$(connections nbd)" 'connections to the server'
sha256sum --quiet -c before || fail 'a file was changed'
