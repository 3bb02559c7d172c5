#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The user's certificate says who asks, so it is shown to servers that the user
# names, by a pattern or a map, and to none that only a disk names.  Needs
# network namespaces, since what a disk names must not be this host.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"
. "$top_srcdir/tests/lib/netns.sh"

make_ca ca
make_cert ca good DNS:tang.invalid
make_cert ca client DNS:client.invalid

# A server that wants to see a certificate.
listen_on=192.0.2.1
start_tang one
start_tls mutual good "$TANG_PORT_one" verify=1,cafile=ca.pem
p=$TANG_PORT_mutual
relay "$p"
bound_to d.luks one "https://tang.invalid:$p"
bound_to m.luks one http://mapped.invalid

ask ()
{
  unlock_file --cacert ca.pem --cert client.pem --key client.key --retries 0 \
    --resolve "tang.invalid:$p:192.0.2.2" "$@"
}
map=(--map "mapped.invalid=https://tang.invalid:$p")

# How many times the server has seen one: only then it passes a request on.
before=$(connections one)
seen ()
{
  echo $(($(connections one) - before))
}

# Only the disk names it.
ask d.luks
assert_refused 4 '^unreachable: '
assert_stderr_matches '^hint: .*--tang-allow tang\.invalid'
ask --preflight d.luks
assert_status 2
# A map of another server is no word about this one.
ask "${map[@]}" d.luks
assert_refused 4 '^unreachable: '
assert_equal 0 "$(seen)" 'certificates that the server saw'

# The user does: by name, by address, by a map.
for allow in tang.invalid '*.invalid' "https://tang.invalid:$p" 192.0.2.0/24; do
  ask --allow "$allow" d.luks
  assert_opens d.luks
done
assert_equal 4 "$(seen)" 'certificates that the server saw'
ask "${map[@]}" m.luks
assert_opens m.luks
assert_equal 5 "$(seen)" 'certificates that the server saw'

# The connection on which it was shown is none for the disk's own request.
for order in 'm.luks d.luks' 'd.luks m.luks'; do
  # shellcheck disable=SC2086
  ask --parallel 1 "${map[@]}" $order
  assert_status 4
  assert_stderr_matches '^unreachable: d\.luks: '
  assert_equal 1 "$(wc -l < "$out")" 'passphrases'
done
assert_equal 7 "$(seen)" 'certificates that the server saw'
