#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What the real Clevis encrypts the library decrypts, byte for byte: 200 JWEs
# of random pins (tang, and sss up to three levels deep) on servers with keys
# on all three curves.
#
# timeout: 600

. "$(dirname "$0")/../lib/functions.sh"
requires_tang

decrypt=$top_builddir/common/clevis/exchange/decrypt-jwe
[ -x "$decrypt" ] || skip 'no decrypt-jwe (make check builds it)'

count=200
seed=${NBDE_TEST_SEED:-$RANDOM}
echo "NBDE_TEST_SEED=$seed"
RANDOM=$seed

# A Tang server whose exchange key is on a given curve.
#   start_curve NAME CURVE
start_curve ()
{
  local dir=$tmp/tang-$1 url=TANG_URL_$1
  mkdir "$dir"
  jose jwk gen -i '{"alg":"ES512"}' -o "$dir/signing.jwk" &&
    jose jwk gen -i "{\"alg\":\"ECMR\",\"crv\":\"$2\"}" \
      -o "$dir/exchange.jwk" || fail 'no keys'
  start_tang "$1"
  curl -sfg "${!url}/adv" > "$1.adv" || fail "no advertisement of $1"
  jose jwk thp -a S256 -i "$dir/signing.jwk" > "$1.thp" || fail 'no thumbprint'
}

servers=(one two three four)
start_curve one P-521
start_curve two P-256
start_curve three P-384
start_curve four P-521

# What follows sets "config", since a subshell would draw the same random
# numbers again and again.

random_tang ()
{
  local name=${servers[RANDOM % ${#servers[@]}]}
  local url=TANG_URL_$name
  config="{\"url\":\"${!url}\""
  if [ $((RANDOM % 2)) -eq 0 ]; then
    config+=",\"adv\":\"$name.adv\"}"
  else
    config+=",\"thp\":\"$(< "$name.thp")\"}"
  fi
}

# random_sss LEVELS: at most so many levels of sss, this one included.
random_sss ()
{
  local n=$((1 + RANDOM % 3)) t i tangs='' nested=''
  t=$((1 + RANDOM % n))
  for ((i = 0; i < n; i++)); do
    if [ "$1" -gt 1 ] && [ $((RANDOM % 4)) -eq 0 ]; then
      random_sss $(($1 - 1))
      nested+=${nested:+,}$config
    else
      random_tang
      tangs+=${tangs:+,}$config
    fi
  done
  config="{\"t\":$t,\"pins\":{"
  config+=${tangs:+\"tang\":[$tangs]}${tangs:+${nested:+,}}
  config+=${nested:+\"sss\":[$nested]}}}
}

random_bytes ()
{
  head -c "$1" /dev/urandom
}

for ((i = 0; i < count; i++)); do
  random_bytes $((1 + RANDOM % 200)) > $i.plain
  if [ $((RANDOM % 2)) -eq 0 ]; then
    random_tang
    echo tang > $i.pin
  else
    # A binding may have eight sss pins (BOUND_PIN_SSS); one config of some
    # twenty thousand has more.
    while
      random_sss 3
      without=${config//'"t":'/}
      [ $(((${#config} - ${#without}) / 4)) -gt 8 ]
    do :; done
    echo sss > $i.pin
  fi
  printf '%s' "$config" > $i.config
done

# Two at a time: a tang pin takes a quarter of a second.
seq 0 $((count - 1)) | xargs -P 2 -I{} sh -c '
  clevis encrypt $(cat {}.pin) "$(cat {}.config)" < {}.plain > {}.jwe \
    2> {}.log' || {
  cat ./*.log >&2
  fail 'clevis encrypt'
}

for ((i = 0; i < count; i++)); do
  "$decrypt" -a 127.0.0.1 < $i.jwe > $i.out 2> $i.log ||
    fail "$i: $(cat $i.pin) $(cat $i.config): $(cat $i.log)"
  cmp $i.plain $i.out >&2 || fail "$i: $(cat $i.config): other bytes"
done

# The reference implementation finds the same in some of them.
for ((i = 0; i < count; i += count / 8)); do
  clevis decrypt < $i.jwe > $i.out 2> $i.log || fail "clevis decrypt: $i"
  cmp $i.plain $i.out >&2 || fail "clevis decrypt: $i: other bytes"
done

# The test can fail: another ciphertext, another key.
clevis encrypt tang "{\"url\":\"$TANG_URL_one\",\"adv\":\"one.adv\"}" \
  < 0.plain > last.jwe || fail 'clevis encrypt'
# No newline ends it.
IFS=. read -r header _ iv text tag < last.jwe || [ -n "$tag" ]
changed=A
[ "${text:0:1}" != A ] || changed=B
if printf %s "$header..$iv.$changed${text:1}.$tag" |
     "$decrypt" -a 127.0.0.1 > out 2> log
then
  fail 'a changed ciphertext was decrypted'
fi
grep -q '^decrypt: ' log || fail "another reason: $(cat log)"
rm "$tmp/tang-one/exchange.jwk"
jose jwk gen -i '{"alg":"ECMR","crv":"P-521"}' -o "$tmp/tang-one/other.jwk"
if "$decrypt" -a 127.0.0.1 < last.jwe > out 2> log; then
  fail 'decrypted without the key'
fi
grep -q '^no-key: ' log || fail "another reason: $(cat log)"
