#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The options of virt-nbde-fleet: those that print something and end, those that it
# passes on, and that its manual page has them all.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"

fleet --help
assert_status 0
assert_stdout_has 'virt-nbde-fleet list|preflight|keys'
[ ! -s "$err" ] || fail '--help prints to standard error'
assert_equal '' "$(awk 'length > 80' "$out")" \
  'lines of --help longer than 80 columns'

nbde --version
version=$(cut -d ' ' -f 2 "$out")
for option in -V --version; do
  fleet $option
  assert_equal "virt-nbde-fleet $version" "$(cat "$out")" "output of $option"
done

fleet --short-options
assert_status 0
assert_equal '-P -V -c -o -q -v ' "$(sort "$out" | tr '\n' ' ')" 'short options'

fleet --long-options
assert_status 0
sort "$out" > fleet.options
[ -z "$(grep -v '^--[a-z-]*$' "$out")" ] || fail 'not only options'

# The manual page has these and no others.
options_of_page ()
{
  sed -n '/^=head1 OPTIONS/,/^=head1 SERVERS/p' "$1" | grep '^=item' |
    grep -o 'B<--[a-z-]*>' | sed 's/^B<//; s/>$//' | sort
}
options_of_page "$top_srcdir/nbde/fleet/virt-nbde-fleet.pod" > page.options
diff fleet.options page.options >&2 || fail 'the manual page has other options'

# What is passed on is known to virt-nbde-unlock, and takes a value where that does.
nbde --long-options
sort "$out" > unlock.options
sed -n '/^=head2 OPTIONS FOR/,/^=head1/p' \
  "$top_srcdir/nbde/fleet/virt-nbde-fleet.pod" > passed.part
grep '^=item' passed.part | grep -o '\-\-[a-z-]*' | sort > passed.options
assert_equal '' "$(comm -23 passed.options unlock.options)" \
  'passed on, and not known'
nbde --help
cp "$out" unlock.help
fleet --help
while read -r option; do
  for help in unlock.help "$out"; do
    grep -oE -e "^ $option( [A-Z]|\[=|  |\$|( [a-z0-9]+\|))" "$help" |
      grep -qE '[]A-Z|[]' && echo value || echo flag
  done | uniq | wc -l | grep -qx 1 ||
    fail "$option takes a value in one program only"
done < passed.options

# No action, output, disk or key can be smuggled in as a guest's option.
for option in --list --check --preflight --inspect --mount --output-keys --run \
              --export-requests --import-replies --requests-state \
              --output-format --machine-readable --add --domain --rw \
              --keys-from-stdin --echo-keys; do
  grep -qxF -e "$option" unlock.options || fail "$option is no option any more"
  ! grep -qxF -e "$option" passed.options || fail "$option is passed on"
done

# What is wrong is said in the program's own name.
fleet lists
assert_status 1
assert_equal "virt-nbde-fleet: error: 'lists' is not an action; there are: list, \
preflight, keys, run, report
Try 'virt-nbde-fleet --help' or consult virt-nbde-fleet(1) for more information." \
  "$(cat "$err")" 'usage error'
