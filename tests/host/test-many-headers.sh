#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A disk of many LUKS headers, and one of large ones: as many are read as the vault
# can hold.  A bound device among these opens; of each other one an error says which
# limit it is behind, and the exit status says that it may have had a binding.

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires python3

start_tang one
bound_piece bound tang "$(tang_config one)"
clevis_pass bound 1 key
piece unbound

# Partitions in the place of one another:  crowd IMAGE FIRST REST PLACES...
crowd ()
{
  local image=$1
  truncate -s 16M "$image"
  put "$2" "$image" 1
  put "$3" "$image" 4
  shift 3
  "$top_srcdir/tests/lib/hostile-disk.py" partitions "$image" "$@"
}

check ()
{
  local options=() image
  for image; do options+=(-a "$image"); done
  nbde --appliance=never --format=raw "${options[@]}" --check \
    --tang-keydir "$TANG_DIR_one"
}

# These were, and nothing else is wrong:  refused_are REASON NAME...
refused_are ()
{
  local reason=$1 names
  shift
  names=$(sed -n "s/^virt-nbde-unlock: warning: \([^:]*\): $reason\$/\1/p" "$err")
  assert_equal "$*" "${names//$'\n'/ }" 'what was refused'
  # What is said of all of them.
  search -E '^virt-nbde-unlock: (error|warning): ' "$err" |
    search -vF -e "$reason" -e ': error: no LUKS device that could be read has' \
      > other
  [ ! -s other ] || fail "another error: $(head -n 3 other)"
}

too_many='this is more than 200 LUKS headers'

# As many as may be; what is not LUKS does not count.
crowd fits.img bound unbound 1:3:1 4:3:199 8:1:20
check fits.img
assert_status 0
assert_stdout_matches '^/dev/sda1 .*: token 0, keyslot 1'
assert_stderr_lacks 'more than'

# The bound one comes first.
crowd first.img bound unbound 1:3:1 4:3:199
crowd second.img bound unbound 4:3:110
check first.img second.img
assert_status 2
assert_stdout_matches '^/dev/sda1 .*: token 0, keyslot 1'
refused_are "$too_many" /dev/sdb{1..110}
nbde --appliance=never --format=raw -a first.img -a second.img \
  --tang-keydir "$TANG_DIR_one" --output-keys keys --output-keys-format dir
assert_status 2
assert_same_file key keys/*

# It comes last: status 3 would say that there is none.
crowd all.img unbound bound 1:3:200
crowd last.img unbound bound 1:3:109 4:3:1
check all.img last.img
assert_status 2
refused_are "$too_many" /dev/sdb{1..110}

# Both copies of the metadata have 4 MiB.
luks_file large 10 "$(uuid_of large)" passphrase --luks2-metadata-size 4m \
  --luks2-keyslots-size 1m --offset $((9 * 2048))
crowd large.img bound large 1:3:1 4:10:40
check large.img
assert_status 2
assert_stdout_matches '^/dev/sda1 .*: token 0, keyslot 1'
assert_stderr_has '/dev/sda41: this is more than 256 MiB of LUKS headers'
