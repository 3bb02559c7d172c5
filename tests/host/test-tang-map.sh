#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Another server than the one that the token names: maps of scheme, host, port
# and path, addresses without a name server, and what of them the policy
# allows.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"

start_tang one
start_tang other
bound_to path.luks one http://tang.invalid:7500/nbde
bound_to name.luks one "http://tang.invalid:$TANG_PORT_one"

# What is left out of FROM matches anything, but with a scheme and no port the
# scheme's own port is meant.
for from in tang.invalid:7500 tang.invalid TANG.invalid \
            http://tang.invalid:7500; do
  unlock_file --map "$from/nbde=$TANG_URL_one" path.luks
  assert_opens path.luks
done
unlock_file --map "http://tang.invalid/nbde=$TANG_URL_one" \
  --map "tang.invalid=$TANG_URL_other" path.luks
assert_refused 2 '^no-key: '

# The part of the path that is not in FROM stays.
unlock_file --map "tang.invalid=$TANG_URL_one" path.luks
assert_refused 2 '^no-key: .*HTTP status 404'
grep -q 'nbde/rec/' "$TANG_LOG_one" || fail 'the path was not kept'

# Nor is a path that leads out of the part that is mapped, however it is written:
# such a URL is refused before it is compared with a map.
climbs=()
for climb in .. . %2e%2e %2E%2E .%2e %2e. %2e ..%2f ..%2Fx %2f..%2f '' \
             %252e%252e %252f %5c '\' '..\' ..%5c '..;' '..;x' ';' %00 %0a \
             '%c0%ae%c0%ae' %u002e '．．' '／' '%' '%2' %zz '*' '?' '#' '&' '+'
do
  climbs+=("http://tang.invalid/nbde/$climb/x")
done
spell one "${climbs[@]}"
before=$(connections one)
unlock_file --map "tang.invalid/nbde=$TANG_URL_one/inner" \
  --map "tang.invalid=$TANG_URL_one" "${files[@]}"
assert_all_refused
assert_equal "$before" "$(connections one)" connections
# What is only letters, digits and -._~ passes as it is.
bound_to plain.luks one http://tang.invalid/nbde/a.b..c-d_e~f/1
unlock_file --map "tang.invalid/nbde=$TANG_URL_one/inner" plain.luks
assert_refused 2 '^no-key: .*HTTP status 404'
grep -q ' /*inner/a\.b\.\.c-d_e~f/1/rec/' "$TANG_LOG_one" ||
  fail 'another path was asked for'

# A map that does not match is not used; of two that do, the first is.
unlock_file --map "https://tang.invalid/nbde=$TANG_URL_other" \
  --map "tang.invalid:7501/nbde=$TANG_URL_other" \
  --map "elsewhere.invalid=$TANG_URL_other" \
  --map "tang.invalid/nbde=$TANG_URL_one" \
  --map "tang.invalid/nbde=$TANG_URL_other" path.luks
assert_opens path.luks
unlock_file --map "tang.invalid/nbde=$TANG_URL_other" \
  --map "tang.invalid/nbde=$TANG_URL_one" path.luks
assert_refused 2 '^no-key: '

# A target is the user's word, so it is allowed beside an allow list, and on
# loopback.
unlock_file --allow 192.0.2.0/24 --map "tang.invalid/nbde=$TANG_URL_one" \
  path.luks
assert_opens path.luks

# But a map allows nothing else: the same address under the token's own name
# is judged.
before=$(connections one)
unlock_file --map "elsewhere.invalid=$TANG_URL_one" \
  --resolve "tang.invalid:$TANG_PORT_one:127.0.0.1" name.luks
assert_refused 2 '^policy: .*not asked: .*127\.0\.0\.1.*loopback'
assert_equal "$before" "$(connections one)" connections

# A resolved address is judged, too; a pattern with the name admits no
# loopback address, one with the address does.
unlock_file --allow tang.invalid \
  --resolve "tang.invalid:$TANG_PORT_one:127.0.0.1" name.luks
assert_refused 2 '^policy: .*loopback'
unlock_file --allow 127.0.0.1 \
  --resolve "tang.invalid:$TANG_PORT_one:127.0.0.1" name.luks
assert_opens name.luks

# The dot of the root makes it no other name.
bound_to rooted.luks one "http://tang.invalid.:$TANG_PORT_one"
unlock_file --allow 127.0.0.1 \
  --resolve "tang.invalid:$TANG_PORT_one:127.0.0.1" rooted.luks
assert_opens rooted.luks
unlock_file --map "tang.invalid.=$TANG_URL_one" name.luks
assert_opens name.luks

# An error names both URLs, and the address.
find_free_port
for mapped in "http://127.0.0.1:$free_port" "$TANG_URL_other/x"; do
  for options in '--retries 0' '--retries 0 --preflight'; do
    # shellcheck disable=SC2086
    unlock_file $options --map "tang.invalid=$mapped" name.luks
    assert_stderr_matches \
      ": http://tang\.invalid:$TANG_PORT_one \(asked as $mapped, 127\.0\.0\.1\): ."
  done
done

# What cannot be read is an error.
for map in nothing =http://x 'a=' 'a=ftp://x' 'a=http://u:p@x' \
           'a=http://x/../y' 'a/%2e%2e=http://x'; do
  unlock_file --map "$map" path.luks
  assert_refused 1 'policy: '
done
for map in 'bücher.example=http://x' 'a=http://bücher.example'; do
  unlock_file --map "$map" path.luks
  assert_refused 1 'policy: .*characters other than'
  assert_stderr_matches '^hint: .*xn--.*idn2'
done
unlock_file --map "xn--bcher-kva.example=http://x" \
  --map "tang.invalid/nbde=$TANG_URL_one" path.luks
assert_opens path.luks
for entry in a a:80 a:80:b a:0:127.0.0.1 :80:127.0.0.1; do
  unlock_file --resolve "$entry" path.luks
  assert_refused 1 'policy: .*HOST:PORT:ADDRESS'
done
