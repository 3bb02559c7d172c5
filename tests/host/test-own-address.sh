#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A disk reaches no service of this host by one of its own addresses, of
# whichever interface, given a moment ago or routed to the host as a network;
# only a pattern with the address lets it.  Needs network namespaces.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"
. "$top_srcdir/tests/lib/netns.sh"

net 'route add local 198.51.100.0/24 dev lo'
listen_on='[::]'
start_tang one
p=$TANG_PORT_one

bound_to v4.luks one "http://192.0.2.1:$p"
bound_to number.luks one "http://0xc0000201:$p"
bound_to v6.luks one "http://[2001:db8::1]:$p"
bound_to mapped.luks one "http://[::ffff:192.0.2.1]:$p"
bound_to routed.luks one "http://198.51.100.77:$p"
bound_to name.luks one "http://tang.invalid:$p"

# By address: nobody is asked, whatever else is allowed.
before=$(connections one)
for file in v4 number v6 mapped routed; do
  for allow in '' tang.invalid 192.0.2.2 '[2001:db8::2]'; do
    unlock_file ${allow:+--allow "$allow"} $file.luks
    assert_refused 2 '^policy: .*not asked: .* is an address of this host'
  done
done
# By a name: what the name server says is not the user's word.
for address in 192.0.2.1 2001:db8::1 ::ffff:192.0.2.1 198.51.100.77; do
  for allow in '' tang.invalid '*.invalid'; do
    unlock_file ${allow:+--allow "$allow"} \
      --resolve "tang.invalid:$p:$address" name.luks
    assert_refused 2 '^policy: .*not asked: .* is an address of this host'
  done
done
unlock_file --preflight --resolve "tang.invalid:$p:192.0.2.1" \
  v4.luks number.luks v6.luks mapped.luks routed.luks name.luks
assert_status 2
assert_equal "$before" "$(connections one)" connections

# The addresses of now, not those of the beginning: one that comes and goes.
bound_to moving.luks one "http://192.0.2.77:$p"
net 'address add 192.0.2.77/24 dev net0'
before=$(connections one)
unlock_file moving.luks
assert_refused 2 '^policy: .*not asked: 192\.0\.2\.77 is an address of this host'
net 'address del 192.0.2.77/24 dev net0'
unlock_file --retries 0 --connect-timeout 0.5 moving.luks
assert_refused 4 '^unreachable: '
assert_equal "$before" "$(connections one)" connections

# Who means it says so: by address, by network, by a map.
for file in v4 number mapped; do
  for allow in 192.0.2.1 "192.0.2.1:$p" 192.0.2.0/24; do
    unlock_file --allow "$allow" $file.luks
    assert_opens $file.luks
  done
done
unlock_file --allow 2001:db8::1 v6.luks
assert_opens v6.luks
unlock_file --allow 198.51.100.0/24 routed.luks
assert_opens routed.luks
unlock_file --allow 192.0.2.1 --resolve "tang.invalid:$p:192.0.2.1" name.luks
assert_opens name.luks
unlock_file --map "tang.invalid=http://192.0.2.1:$p" name.luks
assert_opens name.luks
