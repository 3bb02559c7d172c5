#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --machine-readable with work to do: messages are JSON, one object a line,
# in the stream that was named; what was asked for is not among them.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires jq

start_tang one
bound_piece a.luks tang "$(tang_config one)"
bound_piece b.luks tang "$(tang_config one)"
disk_of disk.img a.luks b.luks
# One device cannot be unlocked, for the sake of errors.
piece c.luks
disk_of other.img c.luks

nbde --format=raw -a disk.img -a other.img --tang-allow 127.0.0.2 --check \
  --appliance=always --machine-readable=file:messages
assert_status 2
jq -e -s 'all(type == "object" and has("type") and has("message") and
              has("timestamp"))' messages >/dev/null ||
  fail 'not JSON objects of messages'
types ()
{
  jq -r .type messages | sort | uniq -c | awk '{ print $2 ":" $1 }' |
    paste -sd ' '
}
case $(types) in
  error:[2-9]*' info:2 message:'*) ;;
  *) fail "types of messages: $(types)" ;;
esac
jq -r 'select(.type == "error").message' messages > errors
grep -q '^/dev/sda1: .*not asked: ' errors || fail 'no error about /dev/sda1'
# One note about the disk without a binding, and the hint of the errors.
jq -r 'select(.type == "info").message' messages > notes
grep -q '^Add --tang-allow 127\.0\.0\.1 if ' notes || fail 'no hint'
jq -e -s 'all(.timestamp |
    test("^[0-9-]{10}T[0-9:]{8}\\.[0-9]+Z$"))' messages >/dev/null ||
  fail 'timestamps are not of RFC 3339'
jq -e -s 'map(select(.type == "progress")) | length > 0 and
          all(.position <= .total and .message == "\(.position)/\(.total)")' \
  messages >/dev/null || fail 'no progress, or not as described'
[ ! -s "$err" ] || fail 'there are messages on standard error as well'
assert_equal 3 "$(wc -l < "$out")" 'lines of --check'
