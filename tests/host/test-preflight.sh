#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What a preflight says of a server that advertises the key, has rotated it,
# has lost it, is down, does not answer, or speaks https; and what follows for
# the device.  Nothing is unlocked.
#
# alone

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"

for name in good turned lost down; do
  start_tang $name
done
bound_piece d.luks sss "{\"t\":2,\"pins\":{\"tang\":[
  $(tang_config good), $(tang_config turned), $(tang_config lost),
  $(tang_config down)]}}"
bound_piece one.luks tang "$(tang_config good)"

ask ()
{
  unlock_file --allow 127.0.0.1 --timeout 2 --preflight "$@"
}

# The pins have the order of the servers above.
leaf ()
{
  assert_stdout_matches "^sss\[$1\]\.tang: $2"
}

ask d.luks
assert_status 0
assert_stdout_matches '^opens$'
for i in 0 1 2 3; do
  leaf $i 'advertised, signatures good$'
done

# Of two that are needed, one advertises the key, one has it rotated.
dir=$TANG_DIR_turned
for file in "$dir"/*.jwk; do
  mv "$file" "$dir/.${file##*/}"
done
"$(tang_program tangd-keygen)" "$dir" >/dev/null
rm "$TANG_DIR_lost"/*.jwk
"$(tang_program tangd-keygen)" "$TANG_DIR_lost" >/dev/null
end_server down
ask d.luks
assert_status 0
assert_stdout_matches '^no spare$'
leaf 0 'advertised, signatures good$'
leaf 1 'rotated, signatures good$'
leaf 2 'gone, signatures good$'
leaf 3 'unknown'
assert_stderr_matches '^unreachable: d\.luks: token 0: sss\[3\]\.tang: .*refused'

# That was a POST of a random point, once for each key that is not
# advertised.
assert_equal 1 "$(grep -c 'POST /rec' "$TANG_LOG_turned")" 'POST /rec'
# Without it, what is not advertised does not count.
ask --no-probe d.luks
assert_status 2
assert_stdout_matches '^closed$'
leaf 1 'unadvertised'
leaf 2 'unadvertised'
assert_equal 1 "$(grep -c 'POST /rec' "$TANG_LOG_turned")" 'POST /rec'

# One more fails.
replace_server turned start_blackhole
ask --retries 0 d.luks
assert_status 2
assert_stdout_matches '^closed$'
leaf 1 'unknown'
assert_stderr_matches '^unreachable: .*sss\[1\]\.tang: .*no whole reply'
assert_faster_than 4000
# However long a server takes, the deadline holds.
ask --timeout 60 --deadline 1 d.luks
assert_status 2
assert_faster_than 2000

# With the keys at hand nobody is asked.
before=$(connections good)
unlock_file --preflight --keydir "$TANG_DIR_good" one.luks
assert_status 0
assert_stdout_matches '^tang: local'
unlock_file --preflight --keydir "$TANG_DIR_lost" one.luks
assert_status 2
assert_stdout_matches '^tang: gone'
assert_equal "$before" "$(connections good)" connections

# An advertisement whose signature does not hold.
jq -c '.signature = "AAAA" + .signature[4:] // .' \
  <(curl -s "$TANG_URL_good/adv") > broken.adv
if jq -e .signatures broken.adv >/dev/null; then
  jq -c '.signatures[0].signature |= "AAAA" + .[4:]' broken.adv > b.adv
  mv b.adv broken.adv
fi
{
  printf 'HTTP/1.1 200 OK\r\nContent-Type: application/jose+json\r\n'
  printf 'Content-Length: %d\r\n\r\n' "$(wc -c < broken.adv)"
  cat broken.adv
} > broken.http
start_answer broken broken.http
ask --map "127.0.0.1:$TANG_PORT_good=$TANG_URL_broken" one.luks
assert_stdout_matches '^tang: advertised, signatures not good$'

# https: the expiry of the certificate.
make_ca ca
make_cert ca cert IP:127.0.0.1 -days 42
start_tls tls cert "$TANG_PORT_good"
ask --cacert ca.pem \
  --map "127.0.0.1:$TANG_PORT_good=https://127.0.0.1:$TANG_PORT_tls" one.luks
assert_status 0
year=$(date -u -d '+42 days' +%Y)
assert_stdout_matches "^tang: advertised, signatures good, expires .*$year"
ask --map "127.0.0.1:$TANG_PORT_good=https://127.0.0.1:$TANG_PORT_tls" one.luks
assert_status 2
assert_stderr_matches '^unreachable: .*TLS: .*certificate'
