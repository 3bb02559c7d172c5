# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Compares the XML of --inspect with that of virt-inspector.  Sourced after
# functions.sh.
#
# shellcheck shell=bash

# guestfs-tools install it as documentation.
find_schema ()
{
  local file
  for file in /usr/share/doc/guestfs-tools*/virt-inspector.rng*; do
    case $file in
      *.gz) gzip -dc "$file" > virt-inspector.rng && return ;;
      *) [ -e "$file" ] && cp "$file" virt-inspector.rng && return ;;
    esac
  done
  skip 'no virt-inspector.rng'
}

assert_schema ()
{
  xmllint --noout --relaxng virt-inspector.rng "$1" 2>> "$err" ||
    fail "$1 is not as virt-inspector's schema says"
}

# What the last run printed, as NAME.xml: it is whole, and valid.
keep_xml ()
{
  cp "$out" "$1.xml"
  assert_schema "$1.xml"
}

# Run virt-inspector with the same disks; its XML is FILE.
#   inspector FILE KEYS ARGUMENT...
inspector ()
{
  local file=$1 keys=$2
  shift 2
  virt-inspector --keys-from-stdin "$@" < "$keys" > "$file" 2> "$err" ||
    fail "virt-inspector $*"
}

# Every element, attribute and text, and their order, is the same.
assert_same_xml ()
{
  local file
  for file; do
    xmllint --noblanks --c14n "$file" | xmllint --format - > "$file.plain" ||
      fail "$file is not XML"
  done
  diff -u "$1.plain" "$2.plain" >&2 || fail "$1 and $2 differ"
}
