#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Makes the guest that quickstart unlocks:
#
#   make-demo-guest.sh DIR
#
# It is what an installer makes: GPT, a plain /boot, and a LUKS2 partition
# whose first keyslot is a passphrase with argon2id and 1 GiB of memory, bound
# by "clevis luks bind" to a real Tang server; LVM in it, with /, /home and
# swap.  In DIR are then
#   demo.img     the disk, raw, 1 GiB, sparse
#   passphrase   of the first keyslot
#   tang         the keys of the server
#   port         the port on 127.0.0.1 that the binding names; serve-tang.sh
#                serves it: serve-tang.sh DIR/tang "$(cat DIR/port)" PIDFILE
#
# What is there and was made by the same scripts is not made again.  If the
# port is taken by another program, remove the file port and run this again:
# the guest is then bound anew.

set -eu -o pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "$0")" && pwd)
. "$here/appliance.sh"
. "$here/servers.sh"
. "$here/build.sh"

[ $# -eq 1 ] || { sed -n '5,7s/^# \{0,1\}//p' "$0" >&2; exit 1; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)
umask 077

# Where the encrypted partition is, in MiB.
root_start=128
root_size=895

make_disk ()
{
  local build=$dir/build-key uuid
  uuid=$(uuid_of demo)
  printf %s 'correct horse battery staple' > "$dir/passphrase"
  printf %s 'removed when the guest is made' > "$build"

  gpt "$dir/demo.img.new" 1024 "boot:1:127" "root:$root_start:$root_size"
  # The appliance opens it by a second keyslot, whose KDF costs nothing.
  luks_file "$dir/root.luks" "$root_size" "$uuid" "$build" --key-slot 7
  cryptsetup luksAddKey -q --key-file "$build" --key-slot 0 \
    --pbkdf argon2id --pbkdf-memory 1048576 --pbkdf-force-iterations 4 \
    "$dir/root.luks" "$dir/passphrase"
  cryptsetup config --key-slot 7 --priority prefer "$dir/root.luks"
  put "$dir/root.luks" "$dir/demo.img.new" "$root_start"
  rm "$dir/root.luks"

  linux_tree "$dir/tree.tar" fedora demo.example.com \
    "/dev/mapper/fedora-root / ext4 defaults 1 1
UUID=$(uuid_of demo-boot) /boot ext4 defaults 1 2
/dev/mapper/fedora-home /home ext4 defaults 1 2
/dev/mapper/fedora-swap none swap defaults 0 0" \
    "luks-$uuid UUID=$uuid none _netdev"

  fish_start "$dir/script.fish"
  fish_drive "$dir/demo.img.new"
  fish "mke2fs ${device}1 fstype:ext4 label:boot uuid:$(uuid_of demo-boot)"
  fish_open "${device}2" demo "$build"
  fish "pvcreate /dev/mapper/demo"
  fish "vgcreate fedora /dev/mapper/demo"
  fish "lvcreate root fedora 512"
  fish "lvcreate home fedora 128"
  fish "lvcreate swap fedora 128"
  fish "mkswap /dev/fedora/swap label:swap"
  fish "mke2fs /dev/fedora/home fstype:ext4 label:home"
  fish "mke2fs /dev/fedora/root fstype:ext4 label:root"
  fish "mount /dev/fedora/root /"
  fish "tar-in $dir/tree.tar /"
  fish "umount-all"
  fish "vg-activate false fedora"
  fish "cryptsetup-close /dev/mapper/demo"
  choose_appliance
  fish_run
  rm "$dir/tree.tar"

  get_header "$dir/demo.img.new" $((root_start * mib)) "$dir/header"
  cryptsetup luksKillSlot -q "$dir/header" 7
  put_header "$dir/header" "$dir/demo.img.new" $((root_start * mib))
  rm "$dir/header" "$build"
  fallocate --dig-holes "$dir/demo.img.new"
  mv "$dir/demo.img.new" "$dir/demo.img"
}

# The header is changed in a copy and put back whole.
bind_disk ()
{
  local header=$dir/header url=$1
  get_header "$dir/demo.img" $((root_start * mib)) "$header"
  if clevis luks list -d "$header" 2>/dev/null | grep -q '^1:'; then
    clevis luks unbind -f -d "$header" -s 1 >&2
  fi
  bind_luks "$header" "$dir/passphrase" tang "{\"url\":\"$url\"}"
  put_header "$header" "$dir/demo.img" $((root_start * mib))
  rm "$header"
}

key=$(cat "$here"/{appliance,build,servers,make-demo-guest}.sh | sha256sum)
key=${key%% *}

exec 9> "$dir/lock"
flock 9

if [ "$(cat "$dir/made-by" 2>/dev/null)" != "$key" ]; then
  rm -rf "$dir"/{made-by,port,header,build-key,root.luks,tree.tar}*
  make_disk
  echo "$key" > "$dir/made-by"
fi
if [ ! -s "$dir/port" ]; then
  # Not the name of a server that goes on.  One of ours may do so if we were
  # killed, but it shall not have the lock.
  "$here/serve-tang.sh" --stop "$dir/bind.pid"
  url=$("$here/serve-tang.sh" "$dir/tang" 0 "$dir/bind.pid" 9>&-)
  trap '"$here/serve-tang.sh" --stop "$dir/bind.pid"' EXIT
  bind_disk "$url"
  echo "${url##*:}" > "$dir/port.new"
  mv "$dir/port.new" "$dir/port"
fi
