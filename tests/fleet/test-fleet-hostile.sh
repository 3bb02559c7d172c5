#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Ten hostile disks among a hundred: each costs itself, and the other ninety end as
# they do alone.

. "$(dirname "$0")/../lib/functions.sh"
. "$(dirname "$0")/../lib/fleet.sh"
requires_tang
requires jq python3 qemu-img

start_tang one
bound_to one
guests_of a 90 one.luks good

fleet keys good "${ask[@]}" --state alone
assert_status 0
assert_equal 90 "$(count_verdicts alone keys 'done')" 'done alone'

# Headers that are wrong in different ways.
"$top_srcdir/tests/malformed/generate.py" malformed > generate.log 2>&1 ||
  fail "no malformed headers: $(cat generate.log)"
mapfile -t malformed < <(cut -f 1 malformed/expected | shuf -n 5)
files=()
for name in "${malformed[@]}"; do files+=("malformed/$name.img"); done

# What is no disk at all, or only the beginning of one.
mkfifo fifo.img
mkdir folder.img
qemu-img convert -f raw -O qcow2 one.luks whole.qcow2
head -c 70000 whole.qcow2 > cut.qcow2
cp --sparse=always one.luks closed.img
chmod 0 closed.img
# Its name would be an option, or a command.
files+=(fifo.img folder.img cut.qcow2 closed.img '$(touch owned).img')

# Each among nine others.
i=0
while read -r line; do
  [ $((i % 9)) -ne 0 ] ||
    jq -nc --arg path "${files[i / 9]}" --arg name "hostile-$((i / 9))" \
      '{name: $name, disks: [{path: $path}]}'
  echo "$line"
  i=$((i + 1))
done < good > all
assert_equal 100 "$(wc -l < all)" 'guests'

fleet keys all "${ask[@]}" --appliance=never --state st
assert_status 1
assert_equal 100 "$(find st/guests -name keys.json | wc -l)" 'records'
for ((i = 1; i <= 90; i++)); do
  assert_verdict st a-$i keys 'done'
  assert_same_file "alone/keys/a-$i/0" "st/keys/a-$i/0"
done
for ((i = 0; i < 10; i++)); do
  case $(verdict st hostile-$i keys) in
    error | failed | unbound | unreachable) ;;
    # Who is root can read everything.
    done) [ "${files[i]}" = closed.img ] || fail "done: ${files[i]}" ;;
    *) fail "${files[i]}: $(verdict st hostile-$i keys)" ;;
  esac
done
assert_verdict st hostile-5 keys error
assert_verdict st hostile-6 keys error
assert_verdict st hostile-9 keys error
assert_no_file owned
assert_journal_whole st
# Nothing that a terminal would obey.
! grep -qP '[\x00-\x08\x0b-\x1f\x7f]' "$out" "$err" || fail 'control characters'
