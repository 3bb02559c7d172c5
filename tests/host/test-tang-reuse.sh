#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A connection that was made because the user maps a server is not reused for a
# disk that names the same server itself: what is judged there is the disk.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"

start_tang one
p=$TANG_PORT_one
bound_to mapped.luks one http://mapped.invalid
bound_to named.luks one "http://tang.invalid:$p"
bound_to twin.luks one http://twin.invalid

# One request at a time and in either order, so that there is a connection that
# stands when the next request begins.
ask ()
{
  unlock_file --parallel 1 --resolve "tang.invalid:$p:127.0.0.1" \
    --map "mapped.invalid=http://tang.invalid:$p" \
    --map "twin.invalid=http://tang.invalid:$p" "$@"
}

# Such a connection is reused: two requests, one connection.
before=$(connections one)
ask mapped.luks twin.luks
assert_status 0
assert_equal $((before + 1)) "$(connections one)" \
  'connections for two mapped servers'

for order in 'mapped.luks named.luks' 'named.luks mapped.luks'; do
  before=$(connections one)
  # shellcheck disable=SC2086
  ask $order
  assert_status 2
  assert_stderr_matches '^policy: named\.luks: .*127\.0\.0\.1.*loopback'
  assert_equal 1 "$(wc -l < "$out")" 'passphrases'
  assert_equal $((before + 1)) "$(connections one)" connections
done
