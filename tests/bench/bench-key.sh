#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# From a LUKS header to its verified key: the library of virt-nbde-unlock
# against clevis-luks-pass(1), both as whole processes in the same run,
# against the same Tang server.  Prints a table in Markdown.
#
# timeout: 1800

. "$(dirname "$0")/../functions.sh"

requires hyperfine jq curl
requires_tang

runs=${BENCH_RUNS:-30}
ours=$top_builddir/tests/bench/header-to-key
[ -x "$ours" ] || fail "$ours was not built: run make check TESTS="

# Median and standard deviation of each command, in milliseconds:
#   measure COMMAND...
# Sets the arrays median and deviation.
measure ()
{
  hyperfine -N --warmup 3 --runs "$runs" --export-json times.json "$@" \
    >/dev/null 2>hyperfine.log || { cat hyperfine.log; fail 'hyperfine'; }
  mapfile -t median < <(jq '.results[].median * 1000' times.json)
  mapfile -t deviation < <(jq '.results[].stddev * 1000' times.json)
}

number () { LC_ALL=C printf '%.1f' "$1"; }
ratio () { jq -n "$1 / $2" | LC_ALL=C xargs printf '%.1f'; }
row () { printf '| %s | %s ± %s ms |\n' "$1" "$(number "$2")" "$(number "$3")"; }

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

# What the server alone costs: the same request by curl, less what curl costs
# without one.
make_device cheap.img --pbkdf pbkdf2 --pbkdf-force-iterations 1000
make_device default.img
kid=$(cryptsetup token export --token-id 0 cheap.img | jq -r .jwe.protected |
      jose b64 dec -i- | jq -r .kid)
jose jwk gen -i '{"alg":"ECMR"}' | jose jwk pub -i- -o point.jwk

echo '# Header to key'
echo
echo "Median and standard deviation of $runs runs of whole processes."
for case in 'cheap.img:both keyslots pbkdf2 with 1000 iterations' \
            'default.img:first keyslot as cryptsetup luksFormat makes it'; do
  file=${case%%:*}
  # clevis pays for a second and more where the first keyslot is dear.
  [ "$file" = cheap.img ] || runs=5
  measure "$ours -a 127.0.0.1 $file" "clevis luks pass -d $file -s 1" \
    "curl -s -o /dev/null -H Content-Type:application/jwk+json \
       --data-binary @point.jwk $TANG_URL_a/rec/$kid" \
    'curl --version'
  cmp <("$ours" -a 127.0.0.1 "$file" | head -c -1) \
      <(clevis luks pass -d "$file" -s 1) || fail 'the keys differ'
  server=$(jq -n "${median[2]} - ${median[3]}")
  printf '\n## %s\n\n' "${case#*:}"
  echo '| program | time |'
  echo '|---|---|'
  row 'header-to-key' "${median[0]}" "${deviation[0]}"
  row 'clevis luks pass' "${median[1]}" "${deviation[1]}"
  row 'of each: the server' "$server" "${deviation[2]}"
  echo
  echo "clevis / ours: **$(ratio "${median[1]}" "${median[0]}")**," \
    "without the server:" \
    "**$(ratio "(${median[1]} - $server)" "(${median[0]} - $server)")**"
done
runs=${BENCH_RUNS:-30}

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

commands=("$ours -a 127.0.0.1 tokens.img" "$ours -a 127.0.0.1 sss-1-of-2.img"
          "$ours -a 127.0.0.1 sss-2-of-3.img"
          'clevis luks pass -d sss-1-of-2.img -s 1'
          'clevis luks pass -d sss-2-of-3.img -s 1')
names=('two tokens' 'sss 1 of 2' 'sss 2 of 3'
       'clevis luks pass, sss 1 of 2' 'clevis luks pass, sss 2 of 3')
measure "${commands[@]:0:3}"
alive=("${median[@]}")
runs=5
measure "${commands[@]:3}"
alive+=("${median[@]}")
replace_server b start_blackhole
runs=${BENCH_RUNS:-30}
measure "${commands[@]:0:3}"
dead=("${median[@]}")
runs=3
measure "${commands[@]:3}"
dead+=("${median[@]}")
# clevis leaves its curl behind, which waits for the black hole: it ends with
# the server.
printf '\n## One server accepts and never answers\n\n'
echo '| binding | all alive | one black hole | ratio |'
echo '|---|---|---|---|'
for i in "${!names[@]}"; do
  printf '| %s | %s ms | %s ms | **%s** |\n' "${names[i]}" \
    "$(number "${alive[i]}")" "$(number "${dead[i]}")" \
    "$(LC_ALL=C printf '%.2f' "$(jq -n "${dead[i]} / ${alive[i]}")")"
done

printf '\n## Memory\n\n'
/usr/bin/env time -f 'header-to-key, cheap keyslot: %M KiB at most' \
  "$ours" -a 127.0.0.1 cheap.img 2>&1 >/dev/null | tail -n 1
