# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The world in which the documents of a fleet work: guests are bound to
# http://tang.example.com and its like, which are servers of the test.  Sourced after
# functions.sh and fleet.sh.
#
# shellcheck shell=bash
# shellcheck disable=SC2154

# Servers that were started, the first of which is tang.example.com, the others
# NAME.example.com:  fleet_world NAME...
# From then on, virt-nbde-fleet of PATH finds them.
fleet_world ()
{
  local server=$1 url name=tang maps=()
  mkdir "$tmp/world"
  while [ $# -gt 0 ]; do
    url=TANG_URL_$1
    curl -sf "${!url}/adv" > "$tmp/world/$name.adv" ||
      fail "no advertisement of $1"
    maps+=(--tang-map "http://$name.example.com=${!url}")
    shift
    name=${1-}
  done
  # Before the words that a document has: after -- they would be a command's.
  cat > "$tmp/world/virt-nbde-fleet" <<END
#!/bin/bash
for word; do
  [ "\$word" != report ] || exec ${VIRT_NBDE_FLEET@Q} "\$@"
done
exec ${VIRT_NBDE_FLEET@Q} ${maps[*]} "\$@"
END
  chmod +x "$tmp/world/virt-nbde-fleet"
  export PATH=$tmp/world:$PATH
}

# A LUKS device bound to a server of this world:  bound_as NAME FILE
bound_as ()
{
  bound_piece "$2" tang \
    "$(jq -nc --arg name "$1" --arg adv "$tmp/world/$1.adv" \
         '{url: "http://\($name).example.com", adv: $adv}')"
}
