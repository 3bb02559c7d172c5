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
# From then on, virt-nbde-fleet of PATH finds them, but for the one that the variable
# WITHOUT names: whoever maps a server allows it.
fleet_world ()
{
  local server=$1 url name=tang maps=()
  mkdir "$tmp/world"
  while [ $# -gt 0 ]; do
    url=TANG_URL_$1
    curl -sf "${!url}/adv" > "$tmp/world/$name.adv" ||
      fail "no advertisement of $1"
    maps+=("[$name]=http://$name.example.com=${!url}")
    shift
    name=${1-}
  done
  # Before the words that a document has: after -- they would be a command's.
  cat > "$tmp/world/virt-nbde-fleet" <<END
#!/bin/bash
for word; do
  [ "\$word" != report ] || exec ${VIRT_NBDE_FLEET@Q} "\$@"
done
declare -A maps=(${maps[*]})
[ -z "\${WITHOUT-}" ] || unset "maps[\$WITHOUT]"
exec ${VIRT_NBDE_FLEET@Q} "\${maps[@]/#/--tang-map=}" "\$@"
END
  chmod +x "$tmp/world/virt-nbde-fleet"
  export PATH=$tmp/world:$PATH
}

# The configuration of a tang pin of this world:  world_pin NAME
world_pin ()
{
  jq -nc --arg name "$1" --arg adv "$tmp/world/$1.adv" \
    '{url: "http://\($name).example.com", adv: $adv}'
}

# A LUKS device bound to a server of this world:  bound_as NAME FILE
bound_as ()
{
  bound_piece "$2" tang "$(world_pin "$1")"
}

# The same, bound to any one of two servers:  bound_either FILE NAME NAME
bound_either ()
{
  bound_piece "$1" sss \
    "{\"t\": 1, \"pins\": {\"tang\": [$(world_pin "$2"), $(world_pin "$3")]}}"
}
