# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Takes the recipes out of virt-nbde-unlock-recipes(7) and executes them, in the
# world that the page describes.  Sourced after functions.sh.
#
# A recipe is a block of commands that follows a line "=for recipe NAME".
#
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

recipes_page=$top_srcdir/nbde/virt-nbde-unlock-recipes.pod

# Those that convert a guest, which takes long: test-convert.sh has them.
conversions="v2v-run v2v-stdin v2v-file"

# The names of all recipes.  A block of commands without a name fails the test:
# there would be nothing that executes it.
recipe_names ()
{
  awk '
    /^=for recipe / { name = $3; print name; next }
    /^ / && !block { if (name == "") { print "line " NR; bad = 1 } block = 1 }
    /^[^ ]/ { block = 0; name = "" }
    END { exit bad }' "$recipes_page"
}

# Print the commands of a recipe.
recipe ()
{
  awk -v name="$1" '
    $0 == "=for recipe " name { found = 1; next }
    found && /^[^ ]/ { exit }
    found' "$recipes_page" > recipe.pod
  grep -q . recipe.pod || fail "the page has no recipe $1"
  cut -c 2- recipe.pod
  rm recipe.pod
}

# The page says that guests are bound to http://tang.example.com; here this is
# a server of the test, whose name is looked up by nobody.  Further servers
# are http://NAME.example.com.
#   recipes_servers NAME...
# Sets recipes_pin, the configuration with which guests are to be bound.  All
# calls of virt-nbde-unlock by a recipe are in the file recipes.calls.
recipes_servers ()
{
  local url=TANG_URL_$1 name=tang maps=()
  curl -s "${!url}/adv" > "$tmp/recipes.adv" || fail "no advertisement of $1"
  recipes_pin=$(jq -nc --arg adv "$tmp/recipes.adv" \
                  '{url: "http://tang.example.com", adv: $adv}')
  while [ $# -gt 0 ]; do
    url=TANG_URL_$1
    maps+=(--tang-map "http://$name.example.com=${!url}")
    shift
    name=${1-}
  done
  mkdir "$tmp/recipes.bin"
  cat > "$tmp/recipes.bin/virt-nbde-unlock" <<END
#!/bin/bash
echo "\$*" >> ${tmp@Q}/recipes.calls
exec ${VIRT_NBDE_UNLOCK@Q} ${maps[*]@Q} "\$@"
END
  chmod +x "$tmp/recipes.bin/virt-nbde-unlock"
}

# Execute a recipe in this folder; sets status, $out and $err.  It leaves no
# process and no temporary file behind.
run_recipe ()
{
  recipe "$1" > "$tmp/recipe.sh"
  executed="${executed-}$1 "
  mark_run
  run_command env "${marked[@]}" PATH="$tmp/recipes.bin:$PATH" \
    bash -o pipefail "$tmp/recipe.sh"
  last_command="recipe $1: $(cat "$tmp/recipe.sh")"
  assert_no_leftovers
}
