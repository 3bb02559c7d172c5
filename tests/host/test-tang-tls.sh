#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# https: a private CA, client certificates, and errors that name what is wrong
# with a certificate.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"

make_ca ca
make_ca stranger
make_cert ca good DNS:tang.invalid,IP:127.0.0.1
make_cert ca wrong DNS:other.invalid
make_expired_cert ca old DNS:tang.invalid
make_cert stranger unknown DNS:tang.invalid
make_cert ca client DNS:client.invalid
make_cert stranger intruder DNS:client.invalid
cat client.pem client.key > client-both.pem

start_tang one
start_tls good good "$TANG_PORT_one"
start_tls wrong wrong "$TANG_PORT_one"
start_tls old old "$TANG_PORT_one"
start_tls unknown unknown "$TANG_PORT_one"
start_tls mutual good "$TANG_PORT_one" "verify=1,cafile=ca.pem"
start_tls tls11 good "$TANG_PORT_one" \
  "verify=0,openssl-max-proto-version=TLS1.1,cipher=ALL:@SECLEVEL=0"

bound_to d.luks one "https://tang.invalid:$TANG_PORT_good"

# The server NAME in the place of the one that the token names:
#   ask NAME [OPTION...]
ask ()
{
  local port=TANG_PORT_$1
  shift
  unlock_file --allow 127.0.0.1 --retries 0 \
    --map "tang.invalid=https://tang.invalid:${!port}" \
    --resolve "tang.invalid:${!port}:127.0.0.1" "$@" d.luks
}

# The token's own URL, and with an address in the certificate.
unlock_file --allow 127.0.0.1 --cacert ca.pem \
  --resolve "tang.invalid:$TANG_PORT_good:127.0.0.1" d.luks
assert_opens d.luks
unlock_file --cacert ca.pem \
  --map "tang.invalid=https://127.0.0.1:$TANG_PORT_good" d.luks
assert_opens d.luks

# No trust without the CA: not in the system's store, not in another one.
ask good
assert_refused 4 '^unreachable: .*TLS: .*certificate'
ask good --cacert stranger.pem
assert_refused 4 '^unreachable: .*TLS: .*certificate'
ask unknown --cacert ca.pem
assert_refused 4 '^unreachable: .*TLS: .*(issuer|self.signed|certificate)'
ask wrong --cacert ca.pem
assert_refused 4 "^unreachable: .*TLS: .*(name|match).*tang.invalid"
ask old --cacert ca.pem
assert_refused 4 '^unreachable: .*TLS: .*expired'
ask tls11 --cacert ca.pem
assert_refused 4 '^unreachable: .*TLS: '

# Mutual TLS, with a map before it: the key beside or in the same file.
ask mutual --cacert ca.pem --cert client.pem --key client.key
assert_opens d.luks
ask mutual --cacert ca.pem --cert client-both.pem
assert_opens d.luks
ask mutual --cacert ca.pem
assert_refused 4 '^unreachable: '
ask mutual --cacert ca.pem --cert intruder.pem --key intruder.key
assert_refused 4 '^unreachable: '
ask mutual --cacert ca.pem --cert client.pem --key intruder.key
assert_refused 4 '^unreachable: .*TLS: .*(private key|certificate)'

# http where https was meant.
ask one --cacert ca.pem
assert_refused 4 '^unreachable: .*TLS: '
