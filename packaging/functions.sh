# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What quickstart and runtests have in common: installing what
# dependencies.txt lists, and building in a folder of their own.  Sourced by
# bash after top_srcdir (absolute) was set.
#
# shellcheck shell=bash

program=${0##*/}
export DEBIAN_FRONTEND=noninteractive

say ()
{
  printf '%s: %s\n' "$program" "$*"
}

die ()
{
  printf '%s: error: %s\n' "$program" "$*" >&2
  exit 1
}

# Run a command with its output in a file; show the end of it if it fails.
#   logged FILE COMMAND [ARGUMENT...]
logged ()
{
  local log=$1
  shift
  mkdir -p "$(dirname "$log")"
  if ! "$@" > "$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    printf '%s: error: this failed: %s\n' "$program" "$*" >&2
    printf '%s: the whole output is in %s\n' "$program" "$log" >&2
    return 1
  fi
}

# Packages.

# Prints "debian", "fedora" or nothing.
distribution ()
{
  if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
    echo debian
  elif command -v dnf >/dev/null && command -v rpm >/dev/null; then
    echo fedora
  fi
}

# Is there something that makes a package unnecessary?
#   present COMMAND-OR-PATTERN
present ()
{
  case $1 in
    -) return 1 ;;
    /*) compgen -G "$1" >/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# Print the packages for some purposes that are not installed.
#   missing_packages DISTRIBUTION PURPOSE...
missing_packages ()
{
  local distribution=$1 what purpose debian fedora unless use package
  local -A wanted=()
  shift
  while read -r what purpose debian fedora unless use; do
    case $what in '#'* | '') continue ;; esac
    case " $* " in *" $purpose "*) ;; *) continue ;; esac
    ! present "$unless" || continue
    package=$debian
    [ "$distribution" = debian ] || package=$fedora
    [ "$package" = - ] || wanted[$package]=1
  done < "$top_srcdir/packaging/dependencies.txt"

  [ ${#wanted[@]} -gt 0 ] || return 0
  if [ "$distribution" = debian ]; then
    while read -r package use; do
      [ "$use" != installed ] || unset "wanted[$package]"
    done < <(dpkg-query -W -f '${Package} ${db:Status-Status}\n' \
               "${!wanted[@]}" 2>/dev/null)
  else
    for package in "${!wanted[@]}"; do
      ! rpm -q --whatprovides "$package" >/dev/null 2>&1 ||
        unset "wanted[$package]"
    done
  fi
  [ ${#wanted[@]} -eq 0 ] || printf '%s\n' "${!wanted[@]}" | sort
}

apt_update ()
{
  "${as_root[@]}" apt-get -q -o DPkg::Lock::Timeout=300 update
}

apt_install ()
{
  "${as_root[@]}" apt-get -q -y -o DPkg::Lock::Timeout=300 \
    install --no-install-recommends "$@"
}

# Install what is missing for some purposes.  Takes no time if nothing is.
#   install_dependencies LOG PURPOSE...
install_dependencies ()
{
  local log=$1 distribution packages as_root=()
  shift
  distribution=$(distribution)
  if [ -z "$distribution" ]; then
    say "this is neither Debian nor Fedora: install the packages of" \
        "packaging/dependencies.txt by hand"
    return 0
  fi
  mapfile -t packages < <(missing_packages "$distribution" "$@")
  [ ${#packages[@]} -gt 0 ] || return 0

  if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null ||
      die "packages are missing and there is no sudo; as root, install:" \
          "${packages[*]}"
    as_root=(sudo)
    [ "$distribution" = fedora ] ||
      as_root=(sudo --preserve-env=DEBIAN_FRONTEND)
    # Ask for the password now, not into a log file.
    sudo -v || die "sudo does not work; as root, install: ${packages[*]}"
  fi

  say "installing ${#packages[@]} packages: ${packages[*]}"
  if [ "$distribution" = debian ]; then
    if ! compgen -G '/var/lib/apt/lists/*_Packages*' >/dev/null; then
      logged "$log" apt_update || exit 1
    fi
    # Lists that are old name packages that are gone.
    logged "$log" apt_install "${packages[@]}" 2>/dev/null ||
      { logged "$log" apt_update && logged "$log" apt_install "${packages[@]}"
      } || exit 1
  else
    logged "$log" "${as_root[@]}" dnf -y --setopt=install_weak_deps=False \
      install "${packages[@]}" || exit 1
  fi
  hash -r
}

# The appliance boots a copy of a kernel of the host: is there one, and may we
# read it?
check_kernel ()
{
  local kernel found=
  [ -z "${SUPERMIN_KERNEL-}" ] || return 0
  for kernel in /boot/vmlinuz-* /lib/modules/*/vmlinuz; do
    [ -e "$kernel" ] || continue
    [ ! -r "$kernel" ] || return 0
    found=$kernel
  done
  [ -z "$found" ] ||
    die "$(id -un) may not read $found, of which the libguestfs appliance" \
        "needs a copy; allow it with: sudo chmod +r /boot/vmlinuz-*"
  die "there is no /boot/vmlinuz-*, which the libguestfs appliance boots;" \
      "install a kernel package (Debian: linux-image-cloud-amd64)"
}

# Building.

# Make configure in the source folder, if it is missing or older than what it
# is made from.
make_configure ()
{
  local top=$1 newer
  if [ -e "$top/configure" ]; then
    newer=$(find "$top/configure.ac" "$top/m4" -newer "$top/configure")
    [ -n "$newer" ] || return 0
  fi
  (cd "$top" && autoreconf -i)
}

# A source folder that can be built elsewhere.  One that was configured in
# place cannot, since make would find its objects there: it is copied.
#   source_folder DIR    sets source
source_folder ()
{
  source=$top_srcdir
  [ -e "$top_srcdir/config.status" ] || return 0
  source=$1/source
  say "this tree is configured in place; building a copy of it"
  rm -rf "$source"
  mkdir -p "$source"
  tar -C "$top_srcdir" -c --exclude=./build --exclude=./.git . |
    tar -C "$source" -x
  logged "$1/logs/distclean.log" make -C "$source" distclean
}

# Configure and build.
#   build DIR MAKE-FOLDER [CONFIGURE-ARGUMENT...]
build ()
{
  local dir=$1 folder=$2
  shift 2
  mkdir -p "$dir"
  logged "$dir/logs/autoreconf.log" make_configure "$source" || return 1
  if [ ! -e "$dir/config.status" ] ||
     [ "$(cat "$dir/logs/arguments" 2>/dev/null)" != "$source $*" ]; then
    (cd "$dir" && logged logs/configure.log "$source/configure" "$@") ||
      return 1
    echo "$source $*" > "$dir/logs/arguments"
  fi
  logged "$dir/logs/make.log" make -j"$(nproc)" -C "$dir/$folder"
}
