#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Servers behind a proxy: by option and by environment, http, https through
# CONNECT, and SOCKS.  A proxy resolves names, so only a pattern with the name
# admits a server.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"
requires tinyproxy microsocks

accepts ()
{
  curl -s -o /dev/null --max-time 5 "telnet://127.0.0.1:$1" </dev/null
  [ $? -ne 7 ]
}

find_free_port
http=$free_port
cat > tinyproxy.conf <<EOF
Port $http
Listen 127.0.0.1
Timeout 30
MaxClients 20
Allow 127.0.0.1
LogFile "$PWD/tinyproxy.log"
LogLevel Info
EOF
setsid tinyproxy -d -c tinyproxy.conf </dev/null > tinyproxy.out 2>&1 &
groups+=($!)
wait_for 20 accepts "$http" || fail "no tinyproxy: $(cat tinyproxy.out)"
find_free_port
socks=$free_port
setsid microsocks -i 127.0.0.1 -p "$socks" </dev/null > socks.log 2>&1 &
groups+=($!)
wait_for 20 accepts "$socks" || fail "no microsocks: $(cat socks.log)"
find_free_port
dead=$free_port

# A port of 127.0.0.1 is one of ::1 too, where localhost has that address: of
# those of a name microsocks takes the first, and no other.
listen_on_localhost ()
{
  getent ahosts localhost | grep -q '^::1 ' || return 0
  : > six.log
  setsid socat -d -d "TCP6-LISTEN:$1,bind=[::1],ipv6only=1,reuseaddr,fork" \
    "TCP:127.0.0.1:$1" </dev/null > six.log 2>&1 &
  groups+=($!)
  wait_for 20 grep -q ' listening on ' six.log ||
    fail "no server on ::1: $(cat six.log)"
}

start_tang one
listen_on_localhost "$TANG_PORT_one"
make_ca ca
make_ca stranger
make_cert ca good DNS:localhost,IP:127.0.0.1
start_tls tls good "$TANG_PORT_one"
listen_on_localhost "$TANG_PORT_tls"
bound_to d.luks one "http://localhost:$TANG_PORT_one"
bound_to s.luks one "https://localhost:$TANG_PORT_tls"

proxied ()
{
  grep -cE "Request .*(GET|POST|CONNECT) .*localhost" tinyproxy.log || :
}
socksed ()
{
  grep -c "connected to localhost:" socks.log || :
}

# How many of a kind there were; the next run must add one or none.
uses ()
{
  local kind=$1 before
  before=$("$kind")
  shift 2
  unlock_file "$@"
  used=$(($("$kind") - before))
}

# By option.
uses proxied - --allow localhost --proxy "http://127.0.0.1:$http" d.luks
assert_opens d.luks
assert_equal 1 "$used" 'requests by the proxy'
uses proxied - --allow localhost --proxy "http://127.0.0.1:$http" \
  --cacert ca.pem s.luks
assert_opens s.luks
assert_equal 1 "$used" 'requests by the proxy'
for file in d.luks s.luks; do
  uses socksed - --allow localhost --proxy "socks5h://127.0.0.1:$socks" \
    --cacert ca.pem "$file"
  assert_opens "$file"
  assert_equal 1 "$used" 'connections by the SOCKS proxy'
done

# A proxy that is itself asked by https, and is trusted by the same CA as the
# servers, or not at all.
start_tls secure good "$http"
for file in d.luks s.luks; do
  uses proxied - --allow localhost --cacert ca.pem \
    --proxy "https://127.0.0.1:$TANG_PORT_secure" "$file"
  assert_opens "$file"
  assert_equal 1 "$used" 'requests by the proxy'
  for cacert in '' stranger.pem; do
    uses proxied - --allow localhost --retries 0 \
      ${cacert:+--cacert "$cacert"} \
      --proxy "https://127.0.0.1:$TANG_PORT_secure" "$file"
    assert_refused 4 '^unreachable: .*TLS of the proxy: .*certificate'
    assert_equal 0 "$used" 'requests by the proxy'
  done
done

# A proxy that asks for a certificate does not see that of --tang-cert.
make_cert ca client DNS:client.invalid
start_tls curious good "$http" verify=1,cafile=ca.pem
for file in d.luks s.luks; do
  uses proxied - --allow localhost --cacert ca.pem --retries 0 \
    --cert client.pem --key client.key \
    --proxy "https://127.0.0.1:$TANG_PORT_curious" "$file"
  assert_refused 4 '^unreachable: '
  assert_equal 0 "$used" 'requests by the proxy'
done

# By environment; what is excepted is asked directly.
export http_proxy=http://127.0.0.1:$http
uses proxied - --allow localhost d.luks
assert_opens d.luks
assert_equal 1 "$used" 'requests by the proxy'
uses proxied - --allow localhost --no-proxy '*' d.luks
assert_opens d.luks
assert_equal 0 "$used" 'requests by the proxy'
no_proxy=example.com,localhost uses proxied - --allow localhost d.luks
assert_opens d.luks
assert_equal 0 "$used" 'requests by the proxy'
# The option comes first.
uses socksed - --allow localhost --proxy "socks5h://127.0.0.1:$socks" d.luks
assert_opens d.luks
assert_equal 1 "$used" 'connections by the SOCKS proxy'
unset http_proxy
https_proxy=http://127.0.0.1:$http \
  uses proxied - --allow localhost --cacert ca.pem s.luks
assert_opens s.luks
assert_equal 1 "$used" 'requests by the proxy'
ALL_PROXY=socks5h://127.0.0.1:$socks uses socksed - --allow localhost d.luks
assert_opens d.luks
assert_equal 1 "$used" 'connections by the SOCKS proxy'

# A name that the proxy resolves is not admitted by an address or a network,
# nor by the default; the proxy is not even asked.
for allow in 127.0.0.1 127.0.0.0/8 other.invalid; do
  uses proxied - --allow "$allow" --proxy "http://127.0.0.1:$http" d.luks
  assert_refused 2 '^policy: .*localhost'
  assert_equal 0 "$used" 'requests by the proxy'
done
uses proxied - --proxy "http://127.0.0.1:$http" d.luks
assert_refused 2 '^policy: .*localhost'
assert_equal 0 "$used" 'requests by the proxy'

# A name that becomes another one when it is mapped to ASCII, below a domain that
# is allowed: curl would write a colon and a slash, and the proxy would connect
# to this host.
bound_to fullwidth.luks one "http://127.0.0.1：$TANG_PORT_one／.example.com"
before=$(connections one)
for proxy in "http://127.0.0.1:$http" "socks5h://127.0.0.1:$socks"; do
  unlock_file --allow '*.example.com' --retries 0 --proxy "$proxy" \
    fullwidth.luks
  assert_refused 2 '^token: .*characters other than a-z'
  assert_stderr_matches '^hint: .*xn--'
done
assert_equal "$before" "$(connections one)" 'connections by the proxies'

# A map is the user's word, behind a proxy too.
uses proxied - --proxy "http://127.0.0.1:$http" \
  --map "localhost=http://localhost:$TANG_PORT_one" d.luks
assert_opens d.luks
assert_equal 1 "$used" 'requests by the proxy'

# A proxy that is not there, and one that cannot do it.
uses proxied - --allow localhost --retries 0 --proxy "http://127.0.0.1:$dead" \
  d.luks
assert_refused 4 '^unreachable: .*cannot connect to the proxy: '
uses socksed - --allow localhost --retries 0 \
  --proxy "socks5h://127.0.0.1:$socks" \
  --map "localhost=http://localhost:$dead" d.luks
assert_refused 4 '^unreachable: '
