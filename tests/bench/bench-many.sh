#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Many bindings on many servers in one call, against as many bare requests by
# curl to the same servers with the same number under way at a time.
#
# timeout: 1800

. "$(dirname "$0")/common.sh"

requires curl
requires_tang

bindings=${BENCH_BINDINGS:-500}
servers=20
parallel=2                      # at a time to one server
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

ours ()
{
  "$ours" "$bindings" $parallel "${arguments[@]}" > result ||
    fail 'not all were recovered'
  read -r time memory < result
  echo "$time" >> ours.samples
  bc -l <<< "$memory / $bindings" >> memory.samples
}
theirs ()
{
  sample theirs curl -s --parallel --parallel-immediate \
    --parallel-max $((servers * parallel)) -K requests.conf
}
in_turn ours theirs

echo "## $bindings bindings on $servers servers"
table "$parallel requests at a time to each server"
row 'all bindings, recovered and compared' ours 2 s
row 'as many bare requests by curl' theirs 2 s
row 'memory for each binding' memory 1 KiB
printf '\nours / curl: **%s**\n' \
  "$(number 2 "$(median ours) / $(median theirs)")"
