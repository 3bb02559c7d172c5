#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Makes a real Debian 12 guest, with a kernel, GRUB and everything else that
# virt-v2v looks for and changes, once:
#
#   make-real-guest.sh CACHE
#
# GPT with GRUB's own partition, a plain /boot, and a LUKS2 partition with LVM
# in it: / and swap.  The folder of the guest, CACHE/real-KEY, is printed; what
# is in it is described in make-guest.sh.  Its LUKS device, called root, has
# no Clevis binding: a test binds a copy.
#
# debootstrap needs root.  It installs in a folder, in a mount namespace of its
# own, from where apt of this host has Debian 12 from.  The appliance makes the
# filesystems; no loop device and no device mapper of the host is used.

set -eu -o pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "$0")" && pwd)
. "$here/appliance.sh"
. "$here/build.sh"

[ $# -eq 1 ] || { sed -n '8s/^# \{0,1\}//p' "$0" >&2; exit 1; }
mkdir -p "$1"
cache=$(cd "$1" && pwd)

# Where the partitions are, in MiB.
boot_start=2
boot_size=190
root_start=192
root_size=1855

packages=linux-image-cloud-amd64,grub-pc,initramfs-tools,lvm2
packages+=,cryptsetup-initramfs,clevis-luks,clevis-initramfs,ifupdown

# What debootstrap installs, and the configuration of the guest.
make_tree ()
{
  local tree=$dir/tree mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' \
             'Created-By: Packages' 'Origin: Debian' 'Codename: bookworm' |
             sort -u | head -n 1)
  [ -n "$mirror" ] || { echo 'apt has no source of Debian 12' >&2; return 1; }

  unshare --mount --propagation private \
    debootstrap --variant=minbase --include="$packages" bookworm "$tree" \
    "$mirror" > "$dir/debootstrap.log" 2>&1 ||
    { tail -n 30 "$dir/debootstrap.log" >&2; return 1; }

  rm -rf "$tree"/var/lib/apt/lists/* "$tree"/var/cache/apt/*.bin \
    "$tree"/var/cache/apt/archives/*.deb "$tree"/usr/share/{doc,locale,man}/*
  : > "$tree/etc/apt/sources.list"
  : > "$tree/etc/resolv.conf"
  echo real.example.com > "$tree/etc/hostname"
  printf '127.0.0.1\tlocalhost real.example.com\n' > "$tree/etc/hosts"
  echo "root_crypt UUID=$uuid none luks,discard,initramfs" \
    > "$tree/etc/crypttab"
  cat > "$tree/etc/fstab" <<END
/dev/mapper/debian-root / ext4 errors=remount-ro 0 1
UUID=$(uuid_of real-boot) /boot ext4 defaults 0 2
/dev/mapper/debian-swap none swap sw 0 0
END
  cat > "$tree/etc/network/interfaces" <<END
auto lo eth0
iface lo inet loopback
iface eth0 inet dhcp
END
  # virt-v2v makes the initramfs anew: no more drivers in it than needed.
  sed -i 's/^MODULES=.*/MODULES=list/' "$tree/etc/initramfs-tools/initramfs.conf"
  printf '%s\n' ext4 dm-crypt dm-mod virtio_net virtio_blk virtio_scsi \
    virtio_pci ahci sd_mod >> "$tree/etc/initramfs-tools/modules"
  tar -C "$tree" --numeric-owner --exclude=./dev/\* -cf "$dir/tree.tar" .
  rm -rf "$tree"
}

# The appliance makes the filesystems, unpacks the tree, and lets the guest's
# own programs install GRUB and make the initramfs.
make_disk ()
{
  gpt "$dir/disk.img" 2048 bios:1:1 boot:$boot_start:$boot_size \
    root:$root_start:$root_size
  sfdisk --quiet --no-reread --no-tell-kernel --part-type "$dir/disk.img" 1 \
    21686148-6449-6E6F-744E-656564454649
  luks_file "$dir/root.luks" $root_size "$uuid" "$dir/passphrase"
  put "$dir/root.luks" "$dir/disk.img" $root_start
  rm "$dir/root.luks"

  fish_start "$dir/script.fish"
  fish_drive "$dir/disk.img"
  fish "mke2fs ${device}2 fstype:ext4 label:boot uuid:$(uuid_of real-boot)"
  fish_open "${device}3" root_crypt "$dir/passphrase"
  fish "pvcreate /dev/mapper/root_crypt"
  fish "vgcreate debian /dev/mapper/root_crypt"
  fish "lvcreate root debian 1700"
  fish "lvcreate swap debian 96"
  fish "mkswap /dev/debian/swap label:swap"
  fish "mke2fs /dev/debian/root fstype:ext4 label:root"
  fish "mount /dev/debian/root /"
  fish "mkdir /boot"
  fish "mount ${device}2 /boot"
  fish "tar-in $dir/tree.tar /"
  fish "command \"grub-install --target=i386-pc $device\""
  fish "command update-grub"
  fish "command \"update-initramfs -u\""
  fish "umount-all"
  fish "vg-activate false debian"
  fish "cryptsetup-close /dev/mapper/root_crypt"
  fish_run > "$dir/appliance.log" 2>&1 ||
    { tail -n 30 "$dir/appliance.log" >&2; return 1; }
}

key=$(cat "$here"/{appliance,build,make-real-guest}.sh | sha256sum)
folder=$cache/real-${key:0:16}

# One at a time, and others wait for what it makes.
exec 9> "$cache/real.lock"
flock 9

if [ ! -d "$folder" ]; then
  choose_appliance
  # What older scripts made, and what was not finished.
  rm -rf "$cache"/real-*
  dir=$folder.new
  mkdir "$dir"
  uuid=$(uuid_of real-root)
  printf %s 'built by make-real-guest.sh' > "$dir/passphrase"
  make_tree
  make_disk
  fallocate --dig-holes "$dir/disk.img"
  echo "root $uuid disk.img $((root_start * mib))" > "$dir/luks"
  rm -f "$dir"/*.tar "$dir"/*.log
  mv "$dir" "$folder"
fi
echo "$folder"
