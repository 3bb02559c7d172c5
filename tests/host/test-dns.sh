#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Names: this host resolves them, by a name server that may be hostile or dead.
# What is judged is the address that is connected to.  Needs network namespaces.
#
# alone

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"
. "$top_srcdir/tests/lib/netns.sh"
requires dnsmasq

echo 'hosts: files dns' > nsswitch.conf
put_over "$PWD/nsswitch.conf" /etc/nsswitch.conf
echo 'nameserver 192.0.2.1' > resolv.conf
put_over "$PWD/resolv.conf" /etc/resolv.conf

# One Tang server that the neighbour answers for, and on the same port another
# one where nobody may come.
listen_on=192.0.2.1
start_tang good
p=$TANG_PORT_good
relay "$p"
listen_on=127.0.0.1
start_server trap "exec $(tangd_command "$TANG_DIR_good")" "$p"

cat > names <<EOF
192.0.2.2 good.test both.test
127.0.0.1 both.test bad.test
::ffff:127.0.0.1 mapped.test
192.0.2.1 own.test
169.254.169.254 metadata.test
EOF
cat > dnsmasq.conf <<EOF
no-resolv
no-hosts
bind-interfaces
listen-address=192.0.2.1
local=/test/
log-facility=-
addn-hosts=$PWD/names
EOF
# It stays who it is.
setsid dnsmasq --no-daemon -C dnsmasq.conf </dev/null > dnsmasq.log 2>&1 &
groups+=($!)
resolves ()
{
  getent ahosts good.test > found
}
wait_for 20 resolves || fail "no dnsmasq: $(cat dnsmasq.log)"

for name in good both bad mapped metadata own missing; do
  bound_to $name.luks good "http://$name.test:$p"
done

unlock_file good.luks
assert_opens good.luks
unlock_file --allow '*.test' both.luks
assert_opens both.luks
for name in bad mapped metadata; do
  for allow in '' "$name.test" 192.0.2.0/24; do
    unlock_file ${allow:+--allow "$allow"} $name.luks
    assert_refused 2 '^policy: .*not asked: '
  done
done
before=$(connections good)
for allow in '' own.test '*.test' 192.0.2.2; do
  unlock_file ${allow:+--allow "$allow"} own.luks
  assert_refused 2 '^policy: .*not asked: 192\.0\.2\.1 is an address of this host'
done
assert_equal "$before" "$(connections good)" 'connections to our own address'
assert_equal 0 "$(connections trap)" 'connections to 127.0.0.1'
unlock_file missing.luks
assert_refused 4 '^unreachable: .*the name missing\.test cannot be resolved'

# A name server that never answers holds up nothing beyond the limits.
echo 'nameserver 192.0.2.9' > resolv.conf
unlock_file --deadline 1 good.luks
assert_refused 4 '^unreachable: .*within the deadline of 1 seconds'
assert_faster_than 1500
unlock_file --connect-timeout 0.5 --retries 0 good.luks
assert_refused 4 '^unreachable: .*name was not resolved within 0.5 seconds'
assert_faster_than 1000
unlock_file --resolve "good.test:$p:192.0.2.2" good.luks
assert_opens good.luks
