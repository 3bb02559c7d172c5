#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Servers at link-local addresses and at the one where clouds have their
# metadata; servers that cannot be reached, each in the way of a real network.
# Needs network namespaces, and address families and routes in them.
#
# alone

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"
. "$top_srcdir/tests/lib/netns.sh"

net 'address add 169.254.7.7/16 dev net0
address add 169.254.169.254/16 dev net0
route add blackhole 10.1.0.0/16
route add unreachable 10.2.0.0/16
route add prohibit 10.3.0.0/16'
net -6 'address add fe80::77/64 dev net0 nodad'

# At all addresses.
listen_on='[::]'
start_tang one
start_tang metadata 80
p=$TANG_PORT_one
relay "$p"
relay 80

# Link-local: refused before a connection, and allowed by a range.
bound_to v4.luks one "http://169.254.7.7:$p"
bound_to v6.luks one "http://[fe80::77%net0]:$p"
bound_to escaped.luks one "http://[fe80::77%25net0]:$p"
bound_to name.luks one "http://tang.invalid:$p"
before=$(connections one)
for file in v4 v6 escaped; do
  unlock_file $file.luks
  assert_refused 2 '^policy: .*not asked: .* is in the link-local range'
  unlock_file --allow tang.invalid --allow 192.0.2.0/24 $file.luks
  assert_refused 2 '^policy: .*not asked: .* is in the link-local range'
done
for allow in '' 192.0.2.1 tang.invalid 169.254.8.0/24; do
  unlock_file ${allow:+--allow "$allow"} \
    --resolve "tang.invalid:$p:169.254.7.7" name.luks
  assert_refused 2 '^policy: .*not asked: '
done
assert_equal "$before" "$(connections one)" connections
unlock_file --allow 169.254.0.0/16 v4.luks
assert_opens v4.luks
unlock_file --allow 169.254.0.0/16 \
  --resolve "tang.invalid:$p:169.254.7.7" name.luks
assert_opens name.luks
assert_equal 2 "$(connections_at one a9fe:0707)" 'connections to 169.254.7.7'
for file in v6 escaped; do
  unlock_file --allow '[fe80::]/10' $file.luks
  assert_opens $file.luks
done
assert_equal 2 "$(connections_at one 0000:0077)" 'connections to fe80::77'

# The metadata service: by its address, by a name that leads there, and by a
# server that sends us there.
bound_to address.luks metadata http://169.254.169.254
bound_to mapped.luks metadata 'http://[::ffff:a9fe:a9fe]/latest'
bound_to named.luks metadata http://metadata.invalid
reply there.http '302 Found' 'Location: http://169.254.169.254/latest/'
start_answer there there.http
relay "$TANG_PORT_there"
bound_to sent.luks metadata "http://192.0.2.2:$TANG_PORT_there"
for file in address mapped named; do
  for allow in '' 192.0.2.1 metadata.invalid '*.invalid'; do
    unlock_file ${allow:+--allow "$allow"} \
      --resolve metadata.invalid:80:169.254.169.254 $file.luks
    assert_refused 2 '^policy: .*not asked: '
  done
done
unlock_file sent.luks
assert_refused 2 '^http: .*HTTP status 302'
unlock_file --preflight --resolve metadata.invalid:80:169.254.169.254 \
  address.luks mapped.luks named.luks sent.luks
assert_status 2
assert_equal 0 "$(connections_at metadata a9fe:a9fe)" \
  'connections to the metadata service'
# It was there all the time.
unlock_file --allow 169.254.169.254 address.luks
assert_opens address.luks
assert_equal 1 "$(connections_at metadata a9fe:a9fe)" \
  'connections to the metadata service'

# Ways not to be reached, and what is said of each.
declare -A ways=(
  [198.51.100.1]='cannot connect: Network is unreachable'
  [10.1.0.1]='cannot connect: '
  [10.2.0.1]='cannot connect: No route to host'
  [10.3.0.1]='cannot connect: Permission denied'
  [192.0.2.9]='no connection within 0.5 seconds'
)
bound_piece either.luks sss "{\"t\":1,\"pins\":{\"tang\":[
  $(config_at one http://dead.invalid),
  $(config_at metadata http://192.0.2.2)]}}"

# The shortest of some runs, in milliseconds, to best.
best_of_three ()
{
  best=999999
  for _ in 1 2 3; do
    unlock_file "$@"
    assert_opens either.luks
    [ "$took" -ge $best ] || best=$took
  done
}
best_of_three --map "dead.invalid=http://192.0.2.2:$p" either.luks
alive=$best
for address in "${!ways[@]}"; do
  unlock_file --resolve "tang.invalid:$p:$address" --retries 0 \
    --connect-timeout 0.5 name.luks
  assert_refused 4 "^unreachable: .*tang\.invalid:$p.*${ways[$address]}"
  assert_stderr_has "$address"
  assert_faster_than 1000
  [ "$address" != 192.0.2.9 ] || assert_slower_than 500

  best_of_three --resolve "dead.invalid:80:$address" either.luks
  echo "both alive: $alive ms; $address: $best ms"
  # Far less than any wait for it would be, even on a loaded machine.
  [ $best -le $((alive + 500)) ] ||
    fail "beside $address: $best ms, both alive: $alive ms"
done

# The time to connect is what is given, for each try.
unlock_file --resolve "tang.invalid:$p:192.0.2.9" --retries 0 \
  --connect-timeout 1.5 --timeout 60 name.luks
assert_refused 4 '^unreachable: .*no connection within 1.5 seconds'
assert_slower_than 1500
assert_faster_than 2000
unlock_file --resolve "tang.invalid:$p:192.0.2.9" --retries 1 \
  --connect-timeout 0.5 name.luks
assert_refused 4 '^unreachable: .*no connection within 0.5 seconds'
assert_slower_than 1000
assert_faster_than 2000
