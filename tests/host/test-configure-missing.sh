#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# On a machine without compilers and libraries, ./configure names everything
# that is missing, with its packages, in one go.

set -e

fail ()
{
  echo "$*"
  exit 1
}

if [ -e "$top_srcdir/config.status" ]; then
  echo "skipped: the source folder is configured in place"
  exit 77
fi

# A PATH with what POSIX has, and nothing that is a dependency.
mkdir bin build
for tool in awk basename cat chmod cmp cp date diff dirname env expr grep \
            install ln ls make mkdir mktemp mv printf rm rmdir sed sh sleep \
            sort tail test touch tr uname uniq; do
  path=$(type -P "$tool") || continue
  ln -s "$path" "bin/$tool"
done

cd build
if PATH=$TMPDIR/bin /bin/sh "$top_srcdir/configure" > out 2> err; then
  fail "configure succeeded"
fi
cat err

[ "$(grep -c 'configure: error: ' err)" -eq 1 ] || fail "not one error"
# What it names is in the list, and every build dependency that it can miss
# in this way is named.
named=0
while read -r what purpose debian fedora _; do
  [ "$purpose" = build ] || continue
  case $what in
    make | libc) continue ;;      # make is here, libc comes with cc
  esac
  grep -q "^  $what .* $debian  *$fedora\$" err || fail "not named: $what"
  grep -q "apt-get install.* $debian\( \|\$\)" err || fail "no $debian"
  grep -q "dnf install.* $fedora\( \|\$\)" err || fail "no $fedora"
  named=$((named + 1))
done < "$top_srcdir/packaging/dependencies.txt"
[ $named -ge 14 ] || fail "only $named dependencies in the list"

# An old version is named with what was found.
mkdir pc
printf 'Name: old\nDescription: old\nVersion: 7.68.0\n' > pc/libcurl.pc
if PKG_CONFIG_LIBDIR=$PWD/pc PKG_CONFIG_PATH='' \
     "$top_srcdir/configure" > out 2> err; then
  fail "configure succeeded with an old libcurl"
fi
grep 'libcurl >= 7.85.0, found 7.68.0' err || fail "the old libcurl"
