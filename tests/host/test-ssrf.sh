#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Spellings of targets that a disk must not make this host ask: each is
# refused, and nothing listening on loopback sees a connection.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"

# The same port on both loopback addresses.
start_tang one
p=$TANG_PORT_one
: > six.log
setsid socat -d -d "TCP6-LISTEN:$p,bind=[::1],ipv6only=1,reuseaddr,fork" \
  PIPE </dev/null > six.log 2>&1 &
groups+=($!)
wait_for 20 grep -q ' listening on ' six.log || skip 'no IPv6 on loopback'

urls=(
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
  # Names that programs map or read in ways of their own.
  "http://127.0.0.1：$p" "http://127.0.0.1：$p／.example.com"
  "http://127.0.0.1／.example.com:$p" "http://127.0.0.1＃.example.com:$p"
  "http://127.0.0.1？.example.com:$p" "http://example.com＠127.0.0.1:$p"
  "http://127．0．0．1:$p" "http://127｡0｡0｡1:$p" "http://ｌocalhost:$p"
  "http://loca​lhost:$p" "http://loca­lhost:$p" "http://ſlocalhost:$p"
  "http://[::１]:$p" "http://localhoﬆ:$p" "http://㏇:$p"
  "http://127.0.0.1%ef%bc%9a$p" "http://127.0.0.1%00.example.com:$p"
  "http://127.0.0.1%2f.example.com:$p" "http://127.0.0.1%23.example.com:$p"
  "http://localhost%00:$p" "http://%5b::1%5d:$p" "http://[::1]%2e:$p"
  "http://localhost..:$p" "http://127.0.0.1..:$p" "http://.localhost:$p"
  "http://127.0.0.1,example.com:$p" "http://127.0.0.1;example.com:$p"
  "http://0127.0.0.1.:$p/.." "http://127.0.0.1.0:$p" "http://127.0.0.0x1.0x:$p"
  "http:/127.0.0.1:$p" "http:127.0.0.1:$p" "http:///127.0.0.1:$p"
  "http:\\\\127.0.0.1:$p" "//127.0.0.1:$p" "://127.0.0.1:$p"
  "http://http://127.0.0.1:$p" "[::1]:$p" "0x7f.1:$p" "localhost:$p"
  "http://127.0.0.1:$p:80" "http://127.0.0.1:+$p" "http://127.0.0.1:0"
  "http://[::1%25lo]:$p" "http://[::1%lo%25lo]:$p" "http://[fe80::1%25../x]:$p"
  "http://[::ffff:127.0.0.1%25lo]:$p" "http://[v1.::1]:$p" "http://[127.0.0.1]:$p"
  "http://[fd00:c1::a9fe:a9fe]" "http://[fd00:42::42]"
)
[ ${#urls[@]} -ge 90 ] || fail 'fewer spellings than promised'
spell one "${urls[@]}"

refused_all ()
{
  assert_all_refused
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
# It answers with what it is asked, which is no HTTP.
curl -s -g -o /dev/null --max-time 5 "http://[::1]:$p/" || :
[ "$(connections one)" -gt "$before" ] || fail '127.0.0.1 is not watched'
grep -q 'accepting connection' six.log || fail '[::1] is not watched'
