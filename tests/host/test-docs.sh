#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# What the program does and what its documents say is the same: every option
# is in the manual page, in --help and in the completion, and no other;
# every exit status is described; commands in examples have options that
# exist.

. "$(dirname "$0")/../lib/functions.sh"
requires podchecker jq

pod=$top_srcdir/nbde/virt-nbde-unlock.pod

nbde --long-options
sort "$out" > long
nbde --short-options
sort "$out" > short
nbde --help
cp "$out" help

# The manual page: items such as B<--format=raw>, B<-a> FILE.
same ()
{
  diff "$1" "$2" >&2 || fail "$3 (<) and $4 (>) differ"
}
sed -n 's/^=item B<\(--[a-z-]*\).*/\1/p' "$pod" | sort -u > pod-long
same long pod-long 'the long options' 'those of the manual page'
sed -n 's/^=item B<\(-[A-Za-z]\)>.*/\1/p' "$pod" | sort -u > pod-short
same short pod-short 'the short options' 'those of the manual page'

for option in $(cat long short); do
  grep -qE -e "(^|[ ,])$option([ ,=[]|\$)" help || fail "$option is not in --help"
done

# The bash completion offers them all.
export PATH="$top_builddir/nbde:$PATH"
# shellcheck disable=SC2034
complete_line ()
{
  read -r -a COMP_WORDS <<< "$1"
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  COMPREPLY=()
  compopt () { :; }
  _virt_nbde_unlock virt-nbde-unlock
  printf '%s\n' ${COMPREPLY[@]+"${COMPREPLY[@]}"}
}
. "$top_srcdir/nbde/virt-nbde-unlock.bash"
complete_line 'virt-nbde-unlock --' | sort > completed
same long completed 'the long options' 'those of the completion'

# Sections and exit statuses.
section ()
{
  sed -n "/^=head1 $1\$/,/^=head1 /p" "$pod"
}
for name in NAME SYNOPSIS DESCRIPTION EXAMPLES OPTIONS 'EXIT STATUS' SECURITY \
            'MACHINE READABLE OUTPUT' 'ENVIRONMENT VARIABLES' 'SEE ALSO' \
            AUTHORS COPYRIGHT; do
  [ -n "$(section "$name")" ] || fail "the manual page has no section $name"
done
for code in 0 1 2 3 4; do
  section 'EXIT STATUS' | grep -q "^=item C<$code>\$" ||
    fail "exit status $code is not in the manual page"
done
formats=$("$VIRT_NBDE_UNLOCK" --machine-readable |
            sed -n 's,^output-keys-format/,,p')
for format in $formats; do
  section 'KEY FILES' | grep -q "^=item C<$format>\$" ||
    fail "key format $format is not in the manual page"
done

# Every field of the JSON document has a row, and no other.
jq -r '.. | objects | .properties? // empty | keys[]' \
  "$top_srcdir/docs/virt-nbde-unlock.schema.json" | sort -u > fields
sed -n 's/^| `\([a-z_]*\)` |.*/\1/p' "$top_srcdir/docs/json.md" |
  sort -u > rows
same fields rows 'the fields of the schema' 'those of docs/json.md'

pages=("$top_srcdir"/nbde/*.pod)
[ ${#pages[@]} -ge 4 ] || fail 'where are the pages of section 7?'
podchecker -warnings -warnings "${pages[@]}" > podchecker.log 2>&1 ||
  fail "podchecker: $(cat podchecker.log)"
! grep -q WARNING podchecker.log || fail "podchecker: $(cat podchecker.log)"

# Commands in documents, with the lines that continue them.
documents=("$top_srcdir"/README.md "$top_srcdir"/docs/*.md "${pages[@]}")
sed -e ':a' -e '/\\$/N; s/\\\n *//; ta' "${documents[@]}" |
  grep -E '^ *(\$ )?(sudo )?(\./run )?virt-nbde-unlock ' |
  sed 's/ \(|\|--\) .*//' |
  grep -oE -e ' --?[A-Za-z][a-z-]*' | tr -d ' ' | sort -u > used
[ -s used ] || fail 'no command was found in the documents'
while read -r option; do
  grep -qxF -e "$option" long short || fail "an example has the option $option"
done < used

# What the README says to run is there and can be run.
for command in $(grep -oE '^    \./[a-z]+' "$top_srcdir/README.md"); do
  [ "$command" = ./configure ] || [ -x "$top_srcdir/$command" ] ||
    fail "README.md: there is no $command"
done

# Nothing was left to be filled in.
! grep -nE '@[A-Z_]+@' "${documents[@]}" ||
  fail 'a document has something to be replaced'
