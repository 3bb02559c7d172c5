#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# IPv6: addresses in brackets, in patterns and in --tang-resolve and --tang-map;
# loopback is refused as that of IPv4 is; a name with an IPv6 address that
# swallows everything and an IPv4 one that answers is not waited for.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"
. "$top_srcdir/tests/lib/netns.sh"

listen_on='[::]'
start_tang one
p=$TANG_PORT_one
relay "$p"

# The device of which the URL is written in each way that there is.
bound_to loop.luks one "http://[::1]:$p"
bound_to long.luks one "http://[2001:0DB8:0:0::0002]:$p"
bound_to name.luks one "http://tang.invalid:$p"

# Loopback: only if it is allowed, by an address or a range.
before=$(connections one)
for allow in '' 127.0.0.1 '[2001:db8::]/32'; do
  unlock_file ${allow:+--allow "$allow"} loop.luks
  assert_refused 2 '^policy: .*not asked: '
done
assert_equal "$before" "$(connections one)" connections
for allow in ::1 '[::1]' "[::1]:$p" ::/64; do
  unlock_file --allow "$allow" loop.luks
  assert_opens loop.luks
done

# Another address: by default, and as a pattern in any spelling.
unlock_file long.luks
assert_opens long.luks
for allow in 2001:db8::2 '[2001:DB8::2]' 2001:db8::/32; do
  unlock_file --allow "$allow" long.luks
  assert_opens long.luks
done
unlock_file --allow 2001:db8::3 long.luks
assert_refused 2 '^policy: .*not asked: '

# Where a name or another server is said to be.
unlock_file --resolve "tang.invalid:$p:2001:db8::2" name.luks
assert_opens name.luks
unlock_file --resolve "tang.invalid:$p:[2001:db8::2]" name.luks
assert_opens name.luks
unlock_file --map "tang.invalid=http://[2001:db8::2]:$p" name.luks
assert_opens name.luks

# Happy eyeballs: the second address is tried long before the first one has
# used up its time.
printf '%s tang.invalid\n' 2001:db8::9 192.0.2.2 > hosts
put_over hosts /etc/hosts
getent ahosts tang.invalid | grep -q 2001:db8::9 || skip 'no IPv6 addresses'
unlock_file --connect-timeout 20 --timeout 30 name.luks
assert_opens name.luks
assert_faster_than 5000
