#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# make install puts everything where it belongs, make uninstall leaves
# nothing, and the program is hardened.

set -e

fail ()
{
  echo "$*"
  exit 1
}

command -v readelf >/dev/null || {
  echo "skipped: no readelf"
  exit 77
}

unset MAKEFLAGS MAKELEVEL MFLAGS
make -s -C "$top_builddir" install DESTDIR="$TMPDIR/root" prefix=/usr \
  > log 2>&1 || { cat log; fail "make install"; }

root=$TMPDIR/root/usr
for file in \
  bin/virt-nbde-unlock \
  bin/virt-nbde-fleet \
  share/man/man1/virt-nbde-unlock.1 \
  share/man/man1/virt-nbde-fleet.1 \
  share/man/man7/virt-nbde-unlock-mount.7 \
  share/man/man7/virt-nbde-unlock-offline.7 \
  share/man/man7/virt-nbde-unlock-recipes.7 \
  share/bash-completion/completions/virt-nbde-unlock \
  share/bash-completion/completions/virt-nbde-fleet \
  share/locale/de/LC_MESSAGES/virt-nbde-unlock.mo \
  share/doc/virt-nbde-unlock/README.md \
  share/doc/virt-nbde-unlock/HACKING.md; do
  [ -s "$root/$file" ] || fail "not installed: $file"
done

# The installed program runs, and says which version it is.
"$root/bin/virt-nbde-unlock" --version | grep '^virt-nbde-unlock [0-9]' ||
  fail "the installed program"

"$root/bin/virt-nbde-fleet" --version | grep '^virt-nbde-fleet [0-9]' ||
  fail "the installed virt-nbde-fleet"

# The completion offers what the program knows.
export PATH="$root/bin:$PATH"
. "$root/share/bash-completion/completions/virt-nbde-unlock"
. "$root/share/bash-completion/completions/virt-nbde-fleet"
complete_line ()
{
  read -r -a COMP_WORDS <<<"$1"
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
  COMPREPLY=()
  # compopt only works while readline completes.
  compopt () { :; }
  "_${COMP_WORDS[0]//-/_}" "${COMP_WORDS[0]}"
  printf '%s\n' "${COMPREPLY[@]}"
}
complete_line 'virt-nbde-unlock --insp' | grep -x -e --inspect ||
  fail "completion of an option"
complete_line 'virt-nbde-fleet pre' | grep -x preflight ||
  fail "completion of an action"
complete_line 'virt-nbde-fleet keys --retry-' | grep -x -e --retry-failed ||
  fail "completion of an option of virt-nbde-fleet"
touch guest.img
complete_line 'virt-nbde-unlock -a gue' | grep -x guest.img ||
  fail "completion of a file"

# Hardening, where configure turned it on.
program=$root/bin/virt-nbde-unlock
if grep -q '^HARDEN_LDFLAGS = .*-z,now' "$top_builddir/nbde/Makefile"; then
  readelf -hW "$program" | grep 'Type: *DYN' || fail "not PIE"
  readelf -lW "$program" | grep 'GNU_RELRO' || fail "no RELRO"
  readelf -dW "$program" | grep 'FLAGS.*NOW' || fail "no BIND_NOW"
  readelf -lW "$program" | grep 'GNU_STACK' | grep -v 'RWE' ||
    fail "executable stack"
  readelf -sW "$program" | grep -q '__stack_chk_fail' ||
    fail "no stack protector"
  readelf -sW "$program" | grep -q '__[a-z]*printf_chk\|__memcpy_chk' ||
    fail "no FORTIFY"
fi

make -s -C "$top_builddir" uninstall DESTDIR="$TMPDIR/root" prefix=/usr \
  > log 2>&1 || { cat log; fail "make uninstall"; }
left=$(find "$root" -type f)
[ -z "$left" ] || fail "left behind: $left"
