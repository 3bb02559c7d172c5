#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Spellings of targets that a disk must not make this host ask: each is
# refused, and nothing listening on loopback sees a connection.

. "$(dirname "$0")/functions.sh"
. "$top_srcdir/tests/tang.sh"

# The same port on both loopback addresses.
start_tang one
p=$TANG_PORT_one
: > six.log
setsid socat -d -d "TCP6-LISTEN:$p,bind=[::1],ipv6only=1,reuseaddr,fork" \
  PIPE </dev/null > six.log 2>&1 &
groups+=($!)
wait_for 20 grep -q ' listening on ' six.log || skip 'no IPv6 on loopback'

spellings=(
  # Loopback, as inet_aton reads it.
  "http://127.0.0.1:$p" "http://127.1:$p" "http://127.0.1:$p"
  "http://2130706433:$p" "http://0x7f000001:$p" "http://0x7f.1:$p"
  "http://017700000001:$p" "http://0177.0.0.1:$p" "http://127.255.255.254:$p"
  "127.0.0.1:$p" "http://127.0.0.1.:$p" "http://0x7F.0x0.0x0.0x1:$p"
  "http://0000177.0.0.1:$p" "https://127.0.0.1:$p"
  # Names.
  "http://localhost:$p" "http://LOCALHOST:$p" "http://LocalHost:$p"
  # Unspecified.
  "http://0:$p" "http://0.0.0.0:$p" "http://[::]:$p"
  # IPv6, and IPv4 inside of it.
  "http://[::1]:$p" "http://[0:0:0:0:0:0:0:1]:$p"
  "http://[::ffff:127.0.0.1]:$p" "http://[::ffff:7f00:1]:$p"
  "http://[::127.0.0.1]:$p" "http://[64:ff9b::7f00:1]:$p"
  "http://[2002:7f00:1::]:$p" "http://[fe80::1]:$p" "http://[ff02::1]:$p"
  "http://[::ffff:0:127.0.0.1]:$p" "http://[64:ff9b:1::127.0.0.1]:$p"
  "http://[2001:0:7f00:1::]:$p" "http://[2001:0:c000:201::80ff:fffe]:$p"
  "http://[2001:db8::5efe:127.0.0.1]:$p" "http://[::1%25lo]:$p"
  "http://[fe80::1%lo]:$p" "http://[::FFFF:127.0.0.1]:$p"
  # Written with other digits, dots and escapes.
  "http://%31%32%37.0.0.1:$p" "http://127%2e0%2e0%2e1:$p"
  "http://１２７.0.0.1:$p" "http://127。0。0。1:$p" "http://①②⑦.0.0.1:$p"
  "http://%6cocalhost:$p" "HTTP://127.0.0.1:$p"
  # Link-local, and the metadata services.
  "http://169.254.169.254" "http://169.254.1.1:$p" "http://0xa9fea9fe"
  "http://[::ffff:169.254.169.254]" "http://[fd00:ec2::254]"
  "http://100.100.100.200"
  # Multicast and broadcast.
  "http://224.0.0.1:$p" "http://255.255.255.255:$p" "http://239.1.2.3:$p"
  # Not URLs of Tang.
  "http://user@127.0.0.1:$p" "file:///etc/passwd" "gopher://127.0.0.1:$p"
  "http://192.0.2.1\\@127.0.0.1:$p" "http://127.0.0.1:$p\\@192.0.2.1"
  "http://127.0.0.1 :$p" " http://127.0.0.1:$p" $'http://127.0.0.1:'"$p"$'\n'
  $'http://127.0.0.1\t:'"$p" "http://127.0.0.1:$p#@192.0.2.1"
  "http://127.0.0.1:$p/?x=" "http://example.invalid@127.0.0.1:$p"
)
[ ${#spellings[@]} -ge 40 ] || fail 'fewer spellings than promised'

# All in tokens of a few devices; the address stays what the server has.
bound_piece base.luks tang "$(tang_config one)"
cryptsetup token export --token-id 0 base.luks > base.json ||
  fail 'cryptsetup token export'
jq -j .jwe.protected base.json | jose b64 dec -i - > header.json
cryptsetup token remove --token-id 0 base.luks
cp base.luks d0.luks
files=(d0.luks)
each=5                          # as many as its small header has room for
n=0
for url in "${spellings[@]}"; do
  if [ $n -eq $each ]; then
    cp base.luks "d${#files[@]}.luks"
    files+=("d${#files[@]}.luks")
    n=0
  fi
  header=$(jq -cj --arg url "$url" '.clevis.tang.url = $url' header.json |
             jose b64 enc -I -)
  jq -c --arg p "$header" '.jwe.protected = $p' base.json > token.json
  cryptsetup token import --token-id $n --json-file token.json \
    "${files[${#files[@]}-1]}" || fail "cryptsetup token import: $url"
  n=$((n + 1))
done

refused_all ()
{
  local i=0 url
  assert_status 2
  assert_no_stdout
  for url in "${spellings[@]}"; do
    grep -E "^(policy|token|limit): d$((i / each)).luks: token $((i % each)): " \
      "$err" > lines || fail "not refused: $url"
    i=$((i + 1))
  done
  # No other error: nothing was tried.
  ! grep -E '^(unreachable|http|no-key|reply|system): ' "$err" ||
    fail 'something was asked'
  ! grep -q 'accepting connection' six.log || fail 'somebody came to [::1]'
  assert_equal "$before" "$(connections one)" 'connections to 127.0.0.1'
}

before=$(connections one)
unlock_file --retries 0 --timeout 5 "${files[@]}"
refused_all
# A pattern of another server changes nothing.
unlock_file --retries 0 --timeout 5 --allow tang.example.com "${files[@]}"
refused_all
# Preflight asks as little.
unlock_file --preflight --timeout 5 "${files[@]}"
assert_status 2
assert_equal "$before" "$(connections one)" 'connections to 127.0.0.1'
! grep -q 'accepting connection' six.log || fail 'somebody came to [::1]'

# The listeners do notice.
curl -s -o /dev/null "http://127.0.0.1:$p/"
curl -s -g -o /dev/null --max-time 5 "http://[::1]:$p/"
[ "$(connections one)" -gt "$before" ] || fail '127.0.0.1 is not watched'
grep -q 'accepting connection' six.log || fail '[::1] is not watched'
