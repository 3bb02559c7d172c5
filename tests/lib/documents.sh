# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Takes the commands out of a document and executes them as they stand there.
# Sourced after functions.sh.
#
# A line "<!-- run NAME -->" names the fenced block of commands after it.  Blocks
# of bash without a name are found by all_executed, and so are names that the test
# has not executed.
#
# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154

executed=' '

#   use_document FILE         from the folder of documents of a fleet
use_document ()
{
  document=$top_srcdir/docs/fleet/$1
  executed=' '
  [ -r "$document" ] || fail "there is no $document"
}

# Print the block with a name.
block ()
{
  awk -v name="$1" '
    $0 == "<!-- run " name " -->" { found = 1; next }
    found && /^```/ { if (inside) exit; inside = 1; next }
    found && inside' "$document" > block.text
  grep -q . block.text || fail "$document has no block $1"
  cat block.text
  rm block.text
}

# Execute it in this folder; sets status, $out and $err.  Variables are for what
# the test cannot have as the document says it:  run_block NAME [VARIABLE=VALUE...]
run_block ()
{
  local name=$1
  shift
  block "$name" > "$tmp/block.sh"
  executed+="$name "
  run_command env "$@" bash -e -o pipefail "$tmp/block.sh"
  last_command="block $name of $document: $(cat "$tmp/block.sh")"
}

# Did the test execute all blocks?
all_executed ()
{
  local name nameless
  nameless=$(awk '
    /^<!-- run / { name = $3; next }
    /^```bash$/ { if (name == "") print "line " NR; inside = 1; next }
    /^```/ { inside = 0 }
    !/^$/ && !inside { name = "" }' "$document")
  [ -z "$nameless" ] ||
    fail "$document: commands that no test can execute: $nameless"
  while read -r name; do
    [[ $executed == *" $name "* ]] ||
      fail "$document: no test has executed the block $name"
  done < <(sed -n 's/^<!-- run \(.*\) -->$/\1/p' "$document")
}
