# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Raw disks whose guest has written the header of another format to them, in the
# hope that whoever opens the disk opens what the header names.  Sourced by
# tests.
#
# shellcheck shell=bash

# A file of whole sectors.
whole_sectors ()
{
  truncate -s %512 "$1"
}

# A qcow2 header and what it names as its backing file, unseen.
#   hostile_qcow2 FILE BACKING [FORMAT]
hostile_qcow2 ()
{
  qemu-img create -q -u -f qcow2 -b "$2" -F "${3-raw}" "$1" 1M &&
    whole_sectors "$1"
}

# A vmdk that is only the shell of a descriptor, or a descriptor alone.
#   vmdk_descriptor EXTENT-FILE
vmdk_descriptor ()
{
  printf '%s\n' '# Disk DescriptorFile' version=1 CID=123a681c \
    parentCID=ffffffff 'createType="monolithicFlat"' "RW 2048 FLAT \"$1\" 0"
}

# Make all of them in this folder, as hostile-NAME.img; sets hostile to their
# names.  They name the files VICTIM and VICTIM.data (made here) and the server.
#   hostile_disks VICTIM SERVER-URL
hostile_disks ()
{
  local victim=$1 server=$2 format

  hostile_qcow2 hostile-qcow2.img "$victim" &&
    hostile_qcow2 hostile-qcow2-server.img "$server/x" &&
    hostile_qcow2 hostile-qcow2-json.img \
      "json:{\"driver\":\"raw\",\"file\":{\"driver\":\"file\",\"filename\":\"$victim\"}}" &&
    qemu-img create -q -f qcow2 \
      -o "data_file=$victim.data,data_file_raw=on" hostile-qcow2-data.img 1M &&
    cp "$victim" "$victim.data" &&
    # Versions of qcow2 are alike, but for the extensions that name formats.
    qemu-img create -q -u -f qcow -b "$victim" -F raw hostile-qcow.img 1M &&
    qemu-img create -q -u -f qed -b "$victim" -F raw hostile-qed.img 1M ||
    return 1

  # A snapshot of a vmdk: qemu-img reads the parent, and is shown another one.
  qemu-img create -q -f vmdk parent.vmdk 1M &&
    qemu-img create -q -f vmdk -b parent.vmdk -F vmdk hostile-vmdk.img &&
    sed -i "s,\"parent.vmdk\",\"$victim\"," hostile-vmdk.img &&
    vmdk_descriptor "$victim" > hostile-vmdk-descriptor.img &&
    # Magic, version 1, flags, capacity 0, grain size, descriptor in sector 1.
    {
      printf 'KDMV\1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\200\0\0\0\0\0\0\0'
      printf '\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0'
    } > hostile-vmdk-shell.img &&
    truncate -s 512 hostile-vmdk-shell.img &&
    vmdk_descriptor "$victim" >> hostile-vmdk-shell.img || return 1

  for format in vdi vhdx vpc parallels; do
    qemu-img create -q -f $format hostile-$format.img 1M || return 1
  done
  # The footer alone, at the end.
  qemu-img create -q -f vpc -o subformat=fixed hostile-vpc-fixed.img 1M &&
    # Not by qemu-img: it measures how fast the machine is, and fails if a busy
    # one gives no answer.
    truncate -s 3M hostile-luks.img &&
    printf x | cryptsetup luksFormat -q --type luks1 --key-file - \
      --pbkdf-force-iterations 1000 hostile-luks.img &&
    printf 'Bochs Virtual HD Image\0\0\0\0\0\0\0\0\0\0Redolog' \
      > hostile-bochs.img &&
    printf '%s\n' '#!/bin/sh' '#V2.0 Format' \
      'modprobe cloop file=$0 && mount -r -t iso9660 /dev/cloop $1' \
      > hostile-cloop.img &&
    head -c 65024 /dev/zero > hostile-dmg.img &&
    printf 'koly\0\0\0\4\0\0\2\0' >> hostile-dmg.img || return 1

  hostile=(hostile-*.img)
  for format in "${hostile[@]}"; do
    whole_sectors "$format"
    # More than the overlay's cluster, so that all of it is looked at.
    [ "$(stat -c %s "$format")" -ge 131072 ] || [ "$format" = hostile-dmg.img ] ||
      truncate -s 131072 "$format"
  done
}
