# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What guests are built with: LUKS devices in plain files (no device mapper
# and no loop device of the host is used), Clevis bindings, a small Linux
# tree.  Everything is made by the reference tools: cryptsetup, clevis,
# guestfish.  Sourced by the builders and by the tests; functions return
# non-zero if they fail.
#
# shellcheck shell=bash

# Where cryptsetup and sfdisk are; not in the PATH of every user.
PATH=$PATH:/usr/sbin:/sbin

mib=$((1024 * 1024))

# A KDF that costs nothing, for the passphrase that guests are built with.
cheap_kdf=(--pbkdf pbkdf2 --pbkdf-force-iterations 1000)

# A LUKS2 header of 2 MiB with room for four keyslots, instead of 16 MiB.
small_header=(--luks2-metadata-size 16k --luks2-keyslots-size 1m
              --offset 4096)

# A UUID that depends on nothing but its name.
uuid_of ()
{
  local h
  h=$(printf %s "$1" | sha256sum)
  echo "${h:0:8}-${h:8:4}-4${h:13:3}-8${h:17:3}-${h:20:12}"
}

# Make a LUKS device in a plain file.
#   luks_file FILE SIZE-IN-MIB UUID PASSFILE [luksFormat OPTION...]
luks_file ()
{
  local file=$1 size=$2 uuid=$3 pass=$4
  shift 4
  truncate -s "${size}M" "$file" &&
    # It warns that a small header has few keyslots.
    cryptsetup luksFormat -q --uuid "$uuid" --key-file "$pass" \
      "${cheap_kdf[@]}" "$@" "$file" > "$file.log" 2>&1 ||
    { cat "$file.log" >&2; return 1; }
  rm -f "$file.log"
}

# Bind a LUKS device in a plain file, as an administrator does it.
#   bind_luks FILE PASSFILE PIN CONFIG
bind_luks ()
{
  clevis luks bind -y -k "$2" -d "$1" "$3" "$4" > "$1.log" 2>&1 ||
    { cat "$1.log" >&2; return 1; }
  rm -f "$1.log"
}

# Copy the header of a LUKS device out of a disk image into a file that
# cryptsetup and clevis take for the device.
#   get_header IMAGE OFFSET FILE
get_header ()
{
  local size
  size=$(stat -c %s "$1") || return 1
  rm -f "$3"
  truncate -s "$((size - $2))" "$3" &&
    dd if="$1" of="$3" bs=1M count=16 iflag=skip_bytes skip="$2" \
      conv=notrunc,sparse status=none
}

# Write a header back.
#   put_header FILE IMAGE OFFSET
put_header ()
{
  dd if="$1" of="$2" bs=1M count=16 oflag=seek_bytes seek="$3" \
    conv=notrunc status=none
}

# Bind a LUKS device inside of a disk image.
#
#   bind_guest IMAGE OFFSET[,OFFSET...] PASSFILE PIN CONFIG
#
# Offsets are in bytes; several are those of the copies of a mirror.
bind_guest ()
{
  local header=$1.header offset
  get_header "$1" "${2%%,*}" "$header" &&
    bind_luks "$header" "$3" "$4" "$5" || return 1
  for offset in ${2//,/ }; do
    put_header "$header" "$1" "$offset" || return 1
  done
  rm -f "$header"
}

# Print "UUID OFFSET[,OFFSET...]" for each LUKS device that can be seen in a
# disk image, wherever it lies (partition, logical volume, array).
luks_map ()
{
  local offset uuid
  local -A map=()
  local -a order=()
  # grep alone counts wrongly in a file with holes.
  # shellcheck disable=SC2002
  while IFS=: read -r offset _; do
    dd if="$1" of="$1.header" bs=1M count=1 iflag=skip_bytes \
      skip="$offset" status=none || return 1
    uuid=$(blkid -p -o value -s UUID "$1.header") || continue
    if [ -n "${map[$uuid]-}" ]; then
      map[$uuid]+=,$offset
    else
      map[$uuid]=$offset
      order+=("$uuid")
    fi
  done < <(cat "$1" | LC_ALL=C grep -obUaP 'LUKS\xba\xbe\x00' | tr -d '\0')
  rm -f "$1.header"
  for uuid in "${order[@]}"; do
    echo "$uuid ${map[$uuid]}"
  done
}

# Partition a disk image.
#
#   gpt IMAGE SIZE-IN-MIB NAME:START:SIZE...    in MiB
gpt ()
{
  local image=$1 size=$2 part name start length
  shift 2
  truncate -s "${size}M" "$image" || return 1
  for part; do
    IFS=: read -r name start length <<< "$part"
    echo "start=${start}MiB size=${length}MiB type=linux name=$name"
  done | { echo 'label: gpt'; cat; } |
    sfdisk --quiet --no-reread --no-tell-kernel "$image"
}

# Copy a file into an image, keeping it sparse.
#   put FILE IMAGE OFFSET-IN-MIB
put ()
{
  dd if="$1" of="$2" bs=1M seek="$3" conv=notrunc,sparse status=none
}

# A small Linux tree, as a tar file: what inspection looks at.
#
#   linux_tree TAR debian|fedora HOSTNAME FSTAB CRYPTTAB
linux_tree ()
{
  local tar=$1 distribution=$2 hostname=$3 fstab=$4 crypttab=$5 dir
  dir=$(mktemp -d "$tar.XXXXXX") || return 1

  mkdir -p "$dir"/{boot,dev,etc,home,proc,root,run,srv,sys,tmp,usr,var} \
    "$dir"/usr/{bin,lib,sbin} "$dir"/var/{lib,log}
  ln -s usr/bin "$dir/bin"
  ln -s usr/lib "$dir/lib"
  ln -s usr/sbin "$dir/sbin"
  cp "$(readlink -f /bin/sh)" "$dir/usr/bin/sh"
  echo "$hostname" > "$dir/etc/hostname"
  printf '127.0.0.1\tlocalhost\n' > "$dir/etc/hosts"
  printf '%s\n' "$fstab" > "$dir/etc/fstab"
  printf '%s\n' "$crypttab" > "$dir/etc/crypttab"
  cat > "$dir/etc/passwd" <<END
root:x:0:0:root:/root:/bin/sh
alice:x:1000:1000:Alice:/home/alice:/bin/sh
END
  printf 'root:x:0:\nalice:x:1000:\n' > "$dir/etc/group"
  "${distribution}_tree" "$dir"

  tar -C "$dir" --owner=0 --group=0 --numeric-owner -cf "$tar" . &&
    rm -rf "$dir"
}

debian_tree ()
{
  cat > "$1/usr/lib/os-release" <<END
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
END
  ln -s ../usr/lib/os-release "$1/etc/os-release"
  echo 12.5 > "$1/etc/debian_version"
  mkdir -p "$1/var/lib/dpkg" "$1/etc/apt" "$1/usr/share/pixmaps"
  # The icon, of 16 by 16 pixels.
  base64 -d > "$1/usr/share/pixmaps/debian-logo.png" <<END
iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAD0lEQVR42mNo
QAMMI1sAAAUMgAHjM1mKAAAAAElFTkSuQmCC
END
  {
    dpkg_entry base-files 12.4+deb12u5 'Debian base system files'
    dpkg_entry clevis 19-2 'automated encryption framework'
    dpkg_entry cryptsetup 2:2.6.1-4 'disk encryption support'
    dpkg_entry dash 0.5.12-2 'POSIX-compliant shell'
  } > "$1/var/lib/dpkg/status"
}

dpkg_entry ()
{
  cat <<END
Package: $1
Status: install ok installed
Priority: optional
Section: admin
Maintainer: Nobody <nobody@example.com>
Architecture: amd64
Version: $2
Description: $3

END
}

fedora_tree ()
{
  cat > "$1/usr/lib/os-release" <<END
NAME="Fedora Linux"
VERSION="39 (Server Edition)"
ID=fedora
VERSION_ID=39
PRETTY_NAME="Fedora Linux 39 (Server Edition)"
END
  ln -s ../usr/lib/os-release "$1/etc/os-release"
  echo 'Fedora release 39 (Thirty Nine)' > "$1/etc/fedora-release"
  ln -s fedora-release "$1/etc/redhat-release"
  mkdir -p "$1/usr/lib/sysimage/rpm" "$1/etc/dnf"
}

# A guestfish script is collected and run in one launch.  Several guests may
# be collected: a launch takes much longer than what is done in it.

fish_start ()
{
  fish_script=$1
  fish_drives=()
  echo run > "$fish_script"
}

# Add an image; sets device to the name that the appliance will give it.
fish_drive ()
{
  local n=${#fish_drives[@]} letters=abcdefghijklmnopqrstuvwxyz
  fish_drives+=("$1")
  device=/dev/sd
  [ "$n" -lt 26 ] || device+=${letters:n / 26 - 1:1}
  device+=${letters:n % 26:1}
}

fish ()
{
  printf '%s\n' "$*" >> "$fish_script"
}

# Open a LUKS device as /dev/mapper/NAME:  fish_open DEVICE NAME PASSFILE
# With --keys-from-stdin, a key is the line after the command that asks.
fish_open ()
{
  fish "cryptsetup-open $1 $2"
  { cat "$3"; echo; } >> "$fish_script"
}

fish_run ()
{
  local drive args=()
  [ ${#fish_drives[@]} -gt 0 ] || return 0
  for drive in "${fish_drives[@]}"; do
    args+=(--format=raw -a "$drive")
  done
  fish shutdown
  nice guestfish "${args[@]}" --keys-from-stdin -f "$fish_script" >&2 &&
    rm -f "$fish_script"
}
