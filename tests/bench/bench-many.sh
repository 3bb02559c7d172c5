#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Many bindings on many servers in one call, against as many bare requests by
# curl to the same servers with the same number under way at a time.  Prints a
# table in Markdown.
#
# timeout: 1800

. "$(dirname "$0")/../functions.sh"

requires curl jq
requires_tang

bindings=${BENCH_BINDINGS:-500}
servers=20
parallel=2                      # at a time to one server
rounds=${BENCH_ROUNDS:-5}
ours=$top_builddir/tests/bench/many-bindings
[ -x "$ours" ] || fail "$ours was not built"

arguments=()
targets=()
for ((i = 0; i < servers; i++)); do
  start_tang "s$i"
  url=TANG_URL_s$i dir=TANG_DIR_s$i
  for key in "${!dir}"/*.jwk; do
    [ "$(jq -r .alg "$key")" = ECMR ] || continue
    arguments+=("${!url}" "$key")
    targets+=("${!url}/rec/$(jose jwk thp -i "$key" -a S256)")
  done
done
[ ${#targets[@]} -eq $servers ] || fail 'not one exchange key a server'

jose jwk gen -i '{"alg":"ECMR"}' | jose jwk pub -i- -o point.jwk
for ((i = 0; i < bindings; i++)); do
  [ "$i" = 0 ] || echo next
  printf 'url = "%s"\n' "${targets[i % servers]}"
  printf 'header = "Content-Type: application/jwk+json"\n'
  printf 'data-binary = "@point.jwk"\noutput = /dev/null\nfail\n'
done > requests.conf

seconds ()
{
  local start=$EPOCHREALTIME
  "$@" || fail "$*"
  bc -l <<< "$EPOCHREALTIME - $start"
}

for ((i = 0; i < rounds; i++)); do
  "$ours" "$bindings" $parallel "${arguments[@]}" > result ||
    fail 'not all were recovered'
  read -r time memory < result
  echo "$time" >> ours
  echo "$memory" >> memory
  seconds curl -s --parallel --parallel-immediate \
    --parallel-max $((servers * parallel)) -K requests.conf >> curl
done
median () { sort -n "$1" | sed -n "$(((rounds + 1) / 2))p"; }

echo "# $bindings bindings on $servers servers"
echo
echo "Median of $rounds rounds, $parallel requests at a time to each server."
echo
echo '| program | time |'
echo '|---|---|'
LC_ALL=C printf '| all bindings, recovered and compared | %.2f s |\n' \
  "$(median ours)"
LC_ALL=C printf '| as many bare requests by curl | %.2f s |\n' "$(median curl)"
echo
echo "ours / curl: **$(bc -l <<< "scale = 2; $(median ours) / $(median curl)")**"
echo
echo "Memory: $(bc <<< "$(median memory) / $bindings") KiB for each binding."
