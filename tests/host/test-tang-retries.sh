#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What failed for the moment is asked again: 503, 429, a refused connection;
# after as long as the server says.  A 404 is not.
#
# alone

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"

reply busy.http '503 Service Unavailable'
reply later.http '429 Too Many Requests' 'Retry-After: 2'
reply long.http '503 Service Unavailable' 'Retry-After: 3000'
reply none.http '404 Not Found'

start_tang one
bound_to d.luks one http://tang.invalid

#   ask NAME [OPTION...]
ask ()
{
  local url=TANG_URL_$1
  unlock_file --map "tang.invalid=${!url}" "${@:2}" d.luks
}
tries ()
{
  wc -l < "$1.count"
}

# Twice 503, then the answer: with two retries, which is the default, but not
# with one.
start_flaky twice 2 busy.http one
ask twice
assert_opens d.luks
assert_equal 3 "$(tries twice)" requests
: > twice.count
ask twice --retries 1
assert_refused 2 '^http: .*HTTP status 503'
assert_equal 2 "$(tries twice)" requests
: > twice.count
ask twice --retries 0
assert_refused 2 '^http: .*HTTP status 503'
assert_equal 1 "$(tries twice)" requests

# 429 with Retry-After: not before that.
start_flaky limited 1 later.http one
ask limited
assert_opens d.luks
assert_slower_than 2000
assert_equal 2 "$(tries limited)" requests

# 404 is an answer.
start_flaky missing 9 none.http one
ask missing --retries 5
assert_refused 2 '^no-key: .*HTTP status 404'
assert_equal 1 "$(tries missing)" requests

# Retries and deadline: it ends in time (a hundred tries would take hours), and at
# once if the server wants more time than there is.
start_flaky always 9999 busy.http one
ask always --retries 100 --deadline 4
assert_refused 2 '^http: .*HTTP status 503'
assert_faster_than 12000
[ "$(tries always)" -gt 2 ] || fail 'it was not asked again'
start_flaky patient 9999 long.http one
ask patient --retries 100 --deadline 30
assert_refused 2 '^http: .*HTTP status 503'
assert_faster_than 15000

# Refused, then up.
find_free_port
unlock_file --map "tang.invalid=http://127.0.0.1:$free_port" --retries 0 d.luks
assert_refused 4 '^unreachable: .*cannot connect: Connection refused'
"$unlock" --map "tang.invalid=http://127.0.0.1:$free_port" --retries 30 \
  --deadline 30 d.luks > late.out 2> late.err &
pid=$!
# It has been refused at least once when it sleeps before the next try.
looks ()
{
  grep -E '^(Name|State|voluntary_ctxt_switches):' "/proc/$pid/status"
}
waits ()
{
  local before
  before=$(looks)
  pause
  [ "$before" = "$(looks)" ] && grep -q '^Name:.unlock-file$' <<< "$before" &&
    grep -q '^State:.S' <<< "$before"
}
wait_for 20 waits || fail 'it does not wait'
serve 127.0.0.1 "$free_port" up.log "exec $(tangd_command "$TANG_DIR_one")" ||
  fail 'no server'
groups+=("$SERVER_PID")
wait $pid || fail "refused, then up: $(cat late.err)"
[ -s late.out ] || fail 'refused, then up: no passphrase'
