#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Makes the guests of the tests, once:
#
#   make-guest.sh CACHE [NAME...]
#
# All guests of the table at the end of this file, or those named, are made
# in one launch of the appliance and put in CACHE/KEY/NAME, where KEY is a
# hash of the scripts that make them.  The folder CACHE/KEY is printed.  What
# is there is not made again.
#
# A guest is a folder of
#   disk.img, disk2.img ...  the disks, sparse and raw
#   passphrase               opens every LUKS device (pbkdf2, 1000 iterations)
#   luks                     lines: NAME UUID IMAGE OFFSET[,OFFSET...]
#   tang, url                keys of the server that an inner device, which
#                            cannot be bound later, is bound to; its URL
#
# The outer LUKS devices have no Clevis binding: a test copies the images and
# binds the copies with bind_guest (see build.sh), which takes half a second.

set -eu -o pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "$0")" && pwd)
. "$here/appliance.sh"
. "$here/servers.sh"
. "$here/build.sh"

[ $# -ge 1 ] || { sed -n '5,9s/^# \{0,1\}//p' "$0" >&2; exit 1; }
mkdir -p "$1"
cache=$(cd "$1" && pwd)
shift

# The guests.  Each function makes one in the folder $dir, with the UUIDs
# "uuid_of GUEST-NAME", and adds to the guestfish script.

# GPT: plain /boot; LUKS2 with a full-size header; in it LVM with /, /home
# and swap.
guest_part_lvm ()
{
  local root
  gpt "$dir/disk.img" 320 boot:1:31 root:32:280
  luks root "$dir/disk.img" 32 280
  fish_drive "$dir/disk.img"
  fish_boot part-lvm
  fish_open "${device}2" part-lvm "$pass"
  fish "pvcreate /dev/mapper/part-lvm"
  fish "vgcreate demo /dev/mapper/part-lvm"
  fish "lvcreate root demo 96"
  fish "lvcreate home demo 32"
  fish "lvcreate swap demo 16"
  fish "mkswap /dev/demo/swap label:swap"
  fish "mke2fs /dev/demo/home fstype:ext4 label:home"
  fish_tree /dev/demo/root debian part-lvm \
    "/dev/mapper/demo-root / ext4 errors=remount-ro 0 1
UUID=$(uuid_of part-lvm-boot) /boot ext4 defaults 0 2
/dev/mapper/demo-home /home ext4 defaults 0 2
/dev/mapper/demo-swap none swap sw 0 0" \
    "root_crypt UUID=$root none luks,_netdev"
  fish "vg-activate false demo"
  fish "cryptsetup-close /dev/mapper/part-lvm"
}

# Two LUKS partitions, / and /home, named in the two ways that occur.
guest_two ()
{
  local root home
  gpt "$dir/disk.img" 160 boot:1:31 root:32:72 home:104:48
  luks root "$dir/disk.img" 32 72 "${small_header[@]}"
  luks home "$dir/disk.img" 104 48 "${small_header[@]}"
  fish_drive "$dir/disk.img"
  fish_boot two
  fish_open "${device}3" two-home "$pass"
  fish "mke2fs /dev/mapper/two-home fstype:ext4 label:home"
  fish "cryptsetup-close /dev/mapper/two-home"
  fish_open "${device}2" two-root "$pass"
  fish_tree /dev/mapper/two-root debian two \
    "/dev/mapper/sda2_crypt / ext4 errors=remount-ro 0 1
UUID=$(uuid_of two-boot) /boot ext4 defaults 0 2
/dev/mapper/luks-$home /home ext4 defaults 0 2" \
    "sda2_crypt UUID=$root none luks
luks-$home UUID=$home none luks"
  fish "cryptsetup-close /dev/mapper/two-root"
}

# LUKS on logical volumes, / and /srv, whose names sort against the order in
# which they were made.
guest_lv ()
{
  local root srv
  gpt "$dir/disk.img" 192 boot:1:31 pv:32:152
  luks root - 0 72 "${small_header[@]}"
  luks srv - 0 48 "${small_header[@]}"
  fish_drive "$dir/disk.img"
  fish_boot lv
  fish "pvcreate ${device}2"
  fish "vgcreate lvguest ${device}2"
  fish "lvcreate root lvguest 72"
  fish "lvcreate data lvguest 48"
  fish "upload $dir/root.luks /dev/lvguest/root"
  fish "upload $dir/srv.luks /dev/lvguest/data"
  fish_open /dev/lvguest/data lv-srv "$pass"
  fish "mke2fs /dev/mapper/lv-srv fstype:ext4 label:srv"
  fish "cryptsetup-close /dev/mapper/lv-srv"
  fish_open /dev/lvguest/root lv-root "$pass"
  fish_tree /dev/mapper/lv-root fedora lv \
    "/dev/mapper/luks-$root / ext4 defaults 1 1
UUID=$(uuid_of lv-boot) /boot ext4 defaults 1 2
/dev/mapper/luks-$srv /srv ext4 defaults 1 2" \
    "luks-$root UUID=$root none _netdev
luks-$srv UUID=$srv none _netdev"
  fish "cryptsetup-close /dev/mapper/lv-root"
  fish "vg-activate false lvguest"
}

# LUKS on an MD RAID1 of two partitions.
guest_md ()
{
  local root
  gpt "$dir/disk.img" 192 boot:1:31 m1:32:72 m2:104:72
  luks root - 0 64 "${small_header[@]}"
  fish_drive "$dir/disk.img"
  fish_boot md
  fish "md-create nbde \"${device}2 ${device}3\" level:raid1"
  fish "upload $dir/root.luks /dev/md/nbde"
  fish_open /dev/md/nbde md-root "$pass"
  fish_tree /dev/mapper/md-root debian md \
    "/dev/mapper/md_crypt / ext4 errors=remount-ro 0 1
UUID=$(uuid_of md-boot) /boot ext4 defaults 0 2" \
    "md_crypt UUID=$root none luks"
  fish "cryptsetup-close /dev/mapper/md-root"
  # Both copies are to be the same when the image is looked at.
  fish 'debug sh "mdadm --wait /dev/md/nbde ||:"'
  fish "md-stop /dev/md/nbde"
}

# LUKS2 on a whole disk.
guest_whole ()
{
  local root
  truncate -s 80M "$dir/disk.img"
  luks root "$dir/disk.img" 0 80 "${small_header[@]}"
  fish_drive "$dir/disk.img"
  fish_open "$device" whole-root "$pass"
  fish_tree /dev/mapper/whole-root fedora whole \
    "/dev/mapper/luks-$root / ext4 defaults 1 1" \
    "luks-$root UUID=$root none _netdev"
  fish "cryptsetup-close /dev/mapper/whole-root"
}

# As Fedora's installer makes it: btrfs in LUKS2, / and /home are subvolumes.
guest_btrfs ()
{
  local root filesystem
  filesystem=$(uuid_of btrfs-filesystem)
  gpt "$dir/disk.img" 176 boot:1:31 root:32:136
  luks root "$dir/disk.img" 32 136 "${small_header[@]}"
  fish_drive "$dir/disk.img"
  fish_boot btrfs
  fish_open "${device}2" btrfs-root "$pass"
  fish "mkfs btrfs /dev/mapper/btrfs-root label:fedora"
  fish "set-uuid /dev/mapper/btrfs-root $filesystem"
  fish "mount /dev/mapper/btrfs-root /"
  fish "btrfs-subvolume-create /root"
  fish "btrfs-subvolume-create /home"
  linux_tree "$dir/tree.tar" fedora btrfs.example.com \
    "UUID=$filesystem / btrfs subvol=root,compress=zstd:1,x-systemd.device-timeout=0 0 0
UUID=$(uuid_of btrfs-boot) /boot ext4 defaults 1 2
UUID=$filesystem /home btrfs subvol=home,compress=zstd:1,x-systemd.device-timeout=0 0 0" \
    "luks-$root UUID=$root none discard"
  fish "tar-in $dir/tree.tar /root"
  fish "write /home/alice.txt of-alice"
  fish "umount-all"
  fish "cryptsetup-close /dev/mapper/btrfs-root"
}

# As the installer of Red Hat Enterprise Linux makes it: LVM in LUKS2, / and
# /home are XFS.  The appliance need not be able to make XFS.
guest_xfs ()
{
  local root name
  gpt "$dir/disk.img" 136 boot:1:31 root:32:96
  luks root "$dir/disk.img" 32 96 "${small_header[@]}"
  fish_drive "$dir/disk.img"
  fish_boot xfs
  fish_open "${device}2" xfs-root "$pass"
  fish "pvcreate /dev/mapper/xfs-root"
  fish "vgcreate rhel /dev/mapper/xfs-root"
  for name in root home; do
    truncate -s 40M "$dir/$name.xfs"
    # Smaller than is supported, in sectors of the LUKS device.
    mkfs.xfs -q --unsupported -s size=4096 -L "$name" "$dir/$name.xfs" \
      > /dev/null
    fish "lvcreate $name rhel 40"
    fish "upload $dir/$name.xfs /dev/rhel/$name"
  done
  linux_tree "$dir/tree.tar" fedora xfs.example.com \
    "/dev/mapper/rhel-root / xfs defaults,x-systemd.device-timeout=0 0 0
UUID=$(uuid_of xfs-boot) /boot ext4 defaults 1 2
/dev/mapper/rhel-home /home xfs defaults,x-systemd.device-timeout=0 0 0" \
    "luks-$root UUID=$root none discard"
  fish "mount /dev/rhel/root /"
  fish "tar-in $dir/tree.tar /"
  fish "mount /dev/rhel/home /home"
  fish "write /home/alice.txt of-alice"
  fish "umount-all"
  fish "vg-activate false rhel"
  fish "cryptsetup-close /dev/mapper/xfs-root"
}

# LUKS inside of LUKS.  The inner header is not to be had without opening the
# outer one, so it is bound here.  The address in its token is one of its
# own, so that a test finds it free.
guest_nested ()
{
  local outer inner hash
  gpt "$dir/disk.img" 112 outer:1:104
  luks outer "$dir/disk.img" 1 104 "${small_header[@]}"
  luks inner - 0 96 "${small_header[@]}"

  hash=$(printf %s "$key" | cksum)
  hash=$(( ${hash%% *} ))
  make_tang_keys "$dir/tang"
  serve "127.$((hash % 250 + 2)).$((hash / 256 % 250 + 2)).2" 17070 \
    "$dir/log" "exec $(tangd_command "$dir/tang")"
  echo "$SERVER_URL" > "$dir/url"
  bind_luks "$dir/inner.luks" "$pass" tang "{\"url\":\"$SERVER_URL\"}" ||
    { stop_server "$SERVER_PID"; return 1; }
  stop_server "$SERVER_PID"
  rm "$dir/log"

  fish_drive "$dir/disk.img"
  fish_open "${device}1" nested-outer "$pass"
  fish "upload $dir/inner.luks /dev/mapper/nested-outer"
  fish_open /dev/mapper/nested-outer nested-inner "$pass"
  fish_tree /dev/mapper/nested-inner debian nested \
    "/dev/mapper/luks-$inner / ext4 errors=remount-ro 0 1" \
    "luks-$outer UUID=$outer none luks
luks-$inner UUID=$inner none luks"
  fish "cryptsetup-close /dev/mapper/nested-inner"
  fish "cryptsetup-close /dev/mapper/nested-outer"
}

# Make a LUKS device and set the variable NAME to its UUID.
#
#   luks NAME IMAGE OFFSET SIZE [luksFormat OPTION...]    in MiB
#
# It is put into the image, or, if that is "-", its header is left in
# $dir/NAME.luks, to be uploaded.
luks ()
{
  local name=$1 image=$2 offset=$3 size=$4
  shift 4
  printf -v "$name" %s "$(uuid_of "$guest-$name")"
  luks_file "$dir/$name.luks" "$size" "${!name}" "$pass" "$@"
  echo "${!name}" > "$dir/$name.uuid"
  if [ "$image" != - ]; then
    put "$dir/$name.luks" "$image" "$offset"
    rm "$dir/$name.luks"
  else
    # No more than the header, which is 2 MiB.
    truncate -s 2M "$dir/$name.luks"
  fi
}

fish_boot ()
{
  fish "mke2fs ${device}1 fstype:ext4 label:boot uuid:$(uuid_of "$1-boot")"
  fish "mount ${device}1 /"
  fish "write /config-$1 plain"
  fish "umount-all"
}

#   fish_tree DEVICE debian|fedora NAME FSTAB CRYPTTAB
fish_tree ()
{
  linux_tree "$dir/tree.tar" "$2" "$3.example.com" "$4" "$5"
  fish "mke2fs $1 fstype:ext4 label:root"
  fish "mount $1 /"
  fish "tar-in $dir/tree.tar /"
  fish "umount-all"
}

# Say where the LUKS devices are, remove what is not part of the guest, and
# move it to where it counts.
finish ()
{
  local image name uuid offsets
  for image in "$dir"/*.img; do
    fallocate --dig-holes "$image"
    luks_map "$image" | while read -r uuid offsets; do
      name=$(grep -lx "$uuid" "$dir"/*.uuid)
      name=${name##*/}
      echo "${name%.uuid} $uuid ${image##*/} $offsets"
    done
  done > "$dir/luks"
  rm -f "$dir"/*.uuid "$dir"/*.luks "$dir"/*.xfs "$dir/tree.tar"
  mv "$dir" "$folder/$guest"
}

all_guests="part-lvm two lv md whole btrfs xfs nested"

key=$(cat "$here"/{appliance,build,servers,make-guest}.sh | sha256sum)
key=${key:0:16}
folder=$cache/$key
[ $# -gt 0 ] || set -- $all_guests

# One at a time, and others wait for what it makes.
exec 9> "$cache/lock"
flock 9

missing=()
for guest; do
  case " $all_guests " in
    *" $guest "*) ;;
    *) echo "no such guest: $guest" >&2; exit 1 ;;
  esac
  [ -d "$folder/$guest" ] || missing+=("$guest")
done

if [ ${#missing[@]} -gt 0 ]; then
  choose_appliance
  # What older scripts made, and what was not finished.
  find "$cache" -mindepth 1 -maxdepth 1 -regextype posix-extended -type d \
    -regex '.*/[0-9a-f]{16}' ! -name "$key" -exec rm -rf {} +
  mkdir -p "$folder"
  rm -rf "$folder"/*.new

  fish_start "$cache/script.fish"
  for guest in "${missing[@]}"; do
    dir=$folder/$guest.new
    pass=$dir/passphrase
    mkdir "$dir"
    printf %s 'built by make-guest.sh' > "$pass"
    "guest_${guest//-/_}"
  done
  fish_run
  for guest in "${missing[@]}"; do
    dir=$folder/$guest.new
    finish
  done
fi
echo "$folder"
