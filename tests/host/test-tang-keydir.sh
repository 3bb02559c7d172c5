#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# From a folder of Tang's own keys, with the rotated ones, and nobody is asked.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"

start_tang one
start_tang other
bound_piece d.luks tang "$(tang_config one)"
bound_piece both.luks sss "{\"t\":2,\"pins\":{\"tang\":[
  $(tang_config one), $(tang_config other)]}}"
cp -r "$TANG_DIR_one" backup
before=$(connections one)

unlock_file --keydir backup d.luks
assert_opens d.luks

# Rotated: hidden files.
cp -r backup rotated
for file in rotated/*.jwk; do
  mv "$file" "rotated/.${file##*/}"
done
unlock_file --keydir rotated d.luks
assert_opens d.luks

# Keys of another server are none, and the network is no way out.
unlock_file --keydir "$TANG_DIR_other" --allow 127.0.0.1 d.luks
assert_refused 2 '^no-key: '
# Nobody is asked by another URL either.
unlock_file --keydir "$TANG_DIR_other" --map "127.0.0.1=$TANG_URL_other" d.luks
assert_refused 2 '^no-key: '
assert_stderr_lacks 'asked as'
# One of two is not enough; the backups of both are.
unlock_file --keydir backup both.luks
assert_status 2
cp "$TANG_DIR_other"/*.jwk backup
unlock_file --keydir backup both.luks
assert_opens both.luks

assert_equal "$before" "$(connections one)" connections

# Folders that do not serve.
mkdir empty bad
echo '{' > bad/a.jwk
unlock_file --keydir missing d.luks
assert_refused 1 'system: missing: No such file'
unlock_file --keydir empty d.luks
assert_refused 1 'token: '
unlock_file --keydir bad d.luks
assert_refused 1 'token: .*a\.jwk'
