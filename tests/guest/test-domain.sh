#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# -d adds the disks of a guest that libvirt knows, read-only; its CD-ROMs are
# not among them, not even where their image is missing.  Errors name the
# domain and the connection.  The test driver of libvirt needs no daemon.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance

start_tang one
for i in 1 2; do
  bound_piece "d$i.luks" tang "$(tang_config one)"
  disk_of "d$i.img" "d$i.luks"
done
qemu-img convert -f raw -O qcow2 d2.img d2.qcow2

uuid=$(uuid_of guest)
# A domain:  domain NAME UUID DISK-ELEMENT...
domain ()
{
  echo "<domain type='test'><name>$1</name><uuid>$2</uuid>"
  echo "<memory>65536</memory><os><type>hvm</type></os><devices>"
  printf '%s\n' "${@:3}"
  echo '</devices></domain>'
}
# A disk:  disk disk|cdrom FORMAT FILE TARGET BUS
disk ()
{
  echo "<disk type='file' device='$1'><driver name='qemu' type='$2'/>"
  echo "<source file='$tmp/$3'/><target dev='$4' bus='$5'/></disk>"
}
{
  echo '<node>'
  domain guest "$uuid" "$(disk disk raw d1.img vda virtio)" \
    "$(disk cdrom raw gone.iso sda sata)" \
    "$(disk disk qcow2 d2.qcow2 vdb virtio)"
  domain empty "$(uuid_of empty)" "$(disk cdrom raw gone.iso sda sata)"
  domain missing "$(uuid_of missing)" "$(disk disk raw gone.img vda virtio)"
  domain old "$(uuid_of old)" "$(disk disk raw old.img vda virtio)"
  echo '</node>'
} > node.xml
uri=test://$tmp/node.xml
luks_file old.img 4 "$(uuid_of old)" passphrase --type luks1 ||
  fail 'cannot make a LUKS1 disk'

sha256sum d1.img d2.qcow2 > sums
nbde -d guest -c "$uri" --tang-allow 127.0.0.1 --check
assert_status 0
sha256sum --quiet -c sums || fail 'a disk was changed'
assert_equal 2 "$(wc -l < "$out")" 'devices'
assert_stdout_matches "^/dev/sda1 $(uuid_of d1.luks): token 0"
assert_stdout_matches "^/dev/sdb1 $(uuid_of d2.luks): token 0"

nbde --domain "$uuid" --connect "$uri" --tang-allow 127.0.0.1 --list
assert_status 0
assert_stdout_matches '^/dev/sdb1: LUKS2'

# A whole disk that is LUKS version 1.
nbde -d old -c "$uri" --list
assert_status 3
assert_stdout_matches "^/dev/sda: LUKS1"

# What goes wrong is found out before the appliance is started.
bad ()
{
  nbde -d "$1" -c "${3-$uri}" --list
  assert_status 1
  assert_stderr_matches \
    "^virt-nbde-unlock: error: domain $1 \(at ${3-$uri}\): .*$2"
  assert_stderr_lacks 'Starting the appliance'
  assert_no_stdout
}
bad nobody 'no libvirt domain has this name or UUID'
bad "$(uuid_of nobody)" 'no libvirt domain'
bad empty 'has no disk'
bad missing 'gone\.img'
bad guest 'could not connect to libvirt' "test://$tmp/gone.xml"
