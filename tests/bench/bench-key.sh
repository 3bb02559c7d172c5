#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# From a LUKS header to its verified key: the library of virt-nbde-unlock
# against clevis-luks-pass(1), both as whole processes, against the same Tang
# server; and what a server that never answers costs.
#
# timeout: 1800

. "$(dirname "$0")/common.sh"

requires hyperfine jq curl
requires_tang

ours=$top_builddir/tests/bench/header-to-key
[ -x "$ours" ] || fail "$ours was not built: run make check TESTS="
# clevis pays for a second and more where the first keyslot is dear.
few=$(((runs + 9) / 10))

# A LUKS2 device with a passphrase slot and one bound to the server a:
#   make_device FILE LUKSFORMAT-OPTION...
make_device ()
{
  truncate -s 20M "$1"
  printf benchmark > passphrase
  cryptsetup luksFormat -q --type luks2 "${@:2}" "$1" passphrase
  clevis luks bind -y -k passphrase -d "$1" tang "$(tang_config a)" \
    >/dev/null 2>&1 || fail "$1 was not bound"
}

start_tang a
start_tang b
make_device cheap.img --pbkdf pbkdf2 --pbkdf-force-iterations 1000
make_device default.img
for file in cheap.img default.img; do
  cmp <("$ours" -a 127.0.0.1 $file | head -c -1) \
      <(clevis luks pass -d $file -s 1) || fail 'the keys differ'
done

# What the server alone costs: the same request by curl, less what curl costs
# without one.
kid=$(cryptsetup token export --token-id 0 cheap.img | jq -r .jwe.protected |
      jose b64 dec -i- | jq -r .kid)
jose jwk gen -i '{"alg":"ECMR"}' | jose jwk pub -i- -o point.jwk
request="curl -s -o /dev/null -H Content-Type:application/jwk+json
         --data-binary @point.jwk $TANG_URL_a/rec/$kid"

short_in_turn "$runs" \
  ours-cheap "$ours -a 127.0.0.1 cheap.img" \
  clevis-cheap 'clevis luks pass -d cheap.img -s 1' \
  request "${request//$'\n'/}" \
  curl 'curl --version' \
  start "$ours"
short_in_turn "$few" \
  ours-default "$ours -a 127.0.0.1 default.img" \
  clevis-default 'clevis luks pass -d default.img -s 1'

server="$(median request) - $(median curl)"
# virt-nbde-unlock has started long before; bench-start.sh measures that.
own="$(median ours-cheap) - $(median start) - ($server)"

echo '## From the header to the key'
table 'whole process'
row 'header-to-key, both keyslots cheap' ours-cheap 1 ms
row 'clevis luks pass, both keyslots cheap' clevis-cheap 1 ms
row 'header-to-key, first keyslot as luksFormat makes it' ours-default 1 ms
row 'clevis luks pass, the same' clevis-default 1 ms
row 'the same request by curl' request 1 ms
row 'curl without a request' curl 1 ms
row 'header-to-key without a device' start 1 ms
target 'clevis luks pass / header-to-key, both keyslots cheap' \
  "$(median clevis-cheap) / $(median ours-cheap)" 'at least' 25 1
target 'header-to-key without its start and the server' "$own" 'at most' 10 1 ms
target 'clevis luks pass / header-to-key, first keyslot as luksFormat makes it' \
  "$(median clevis-default) / $(median ours-default)" 'at least' 25 1

# Bindings of which one server accepts and never answers.
bound ()
{
  cp --sparse=always unbound.img "$1.img"
  clevis luks bind -y -k passphrase -d "$1.img" "$2" "$3" >/dev/null 2>&1 ||
    fail "$1 was not bound"
}
start_tang c
truncate -s 20M unbound.img
cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \
  --pbkdf-force-iterations 1000 unbound.img passphrase
a=$(tang_config a) b=$(tang_config b) c=$(tang_config c)
cp --sparse=always cheap.img tokens.img
clevis luks bind -y -k passphrase -d tokens.img tang "$b" >/dev/null 2>&1 ||
  fail 'tokens.img was not bound'
bound sss-1-of-2 sss "{\"t\":1,\"pins\":{\"tang\":[$b,$a]}}"
bound sss-2-of-3 sss "{\"t\":2,\"pins\":{\"tang\":[$b,$a,$c]}}"

# All with one more word in the names of the samples:  measure WORD
measure ()
{
  short_in_turn "$runs" "tokens-$1" "$ours -a 127.0.0.1 tokens.img" \
    "one-$1" "$ours -a 127.0.0.1 sss-1-of-2.img" \
    "two-$1" "$ours -a 127.0.0.1 sss-2-of-3.img"
  short_in_turn "$few" "clevis-one-$1" 'clevis luks pass -d sss-1-of-2.img -s 1' \
    "clevis-two-$1" 'clevis luks pass -d sss-2-of-3.img -s 1'
}
measure alive
# clevis leaves its curl behind, which waits for the server until that ends.
replace_server b start_blackhole
measure dead

printf '\n## One server accepts and never answers\n\n'
echo '| binding | all answer | one does not | ratio |'
echo '|---|---|---|---|'
for binding in 'tokens:two tokens' 'one:sss 1 of 2' 'two:sss 2 of 3' \
               'clevis-one:clevis luks pass, sss 1 of 2' \
               'clevis-two:clevis luks pass, sss 2 of 3'; do
  name=${binding%%:*}
  alive=$(median "$name-alive") dead=$(median "$name-dead")
  printf '| %s | %s ms | %s ms | %s |\n' "${binding#*:}" \
    "$(number 1 "$alive")" "$(number 1 "$dead")" "$(number 2 "$dead / $alive")"
done
