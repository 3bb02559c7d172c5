#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# LUKS devices that no binding opens are opened by keys of the user; those
# without a key are left closed and named, and the rest goes on.
#
# needs: appliance
# timeout: 1500

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires script

start_tang one
start_tang dead
bound_piece bound.luks tang "$(tang_config one)"
bound_piece dead.luks tang "$(tang_config dead)"
end_server dead
for name in by-name by-uuid by-file closed; do
  printf %s "of $name: with a colon" > "passphrase"
  piece "$name.luks"
  mv passphrase "$name.key"
done
# Whole files count, but for one newline at the end.
printf 'two\nlines' > two.key
cryptsetup luksAddKey -q --key-file by-file.key "${cheap_kdf[@]}" \
  by-file.luks two.key || fail 'cannot add a key'
{ cat two.key; echo; } > two-newline.key
printf %s 'of a piece' > passphrase

disk_of disk.img bound.luks dead.luks by-name.luks by-uuid.luks by-file.luks \
  closed.luks
sha256sum disk.img > sum
common=(--format=raw -a disk.img --tang-allow 127.0.0.1)

# One of each kind: the device whose server is gone is opened by a key, too.
nbde "${common[@]}" -i \
  --key "/dev/sda2:file:passphrase" \
  --key "/dev/vda3:key:$(cat by-name.key)" \
  --key "$(uuid_of by-uuid.luks):file:by-uuid.key" \
  --key "$(uuid_of by-file.luks):file:two-newline.key" \
  --key "all:clevis" --key "/dev/nothing:key:x"
assert_status 0
sha256sum --quiet -c sum || fail 'the disk was changed'
assert_stderr_has '/dev/sda6: no Clevis binding, left closed'
assert_stderr_matches 'warning: .*/dev/sda2'
# What is in a block of --inspect:  has DEVICE REGEXP
has ()
{
  sed -n "/^LUKS device ${1//\//\\/}\$/,/^\$/p" "$out" | grep -qE -e "$2" ||
    fail "$1: no line matches: $2"
}
has /dev/sda1 'Unlocked by: +token 0, keyslot 1'
for n in 2 3 4 5; do has /dev/sda$n 'Unlocked by: +a given key'; done
has /dev/sda6 'Not unlocked: +no Clevis binding'

# A line of standard input for each device that is still closed and has no
# key, in order; one after the last line is left closed.  A key that does not
# fit is an error, and the others go on.
#   nbde_given FILE ARGUMENT...
nbde_given ()
{
  local input=$1
  shift
  mark_run
  last_command="virt-nbde-unlock $* < $input"
  status=0
  timeout 500 env "${marked[@]}" "$VIRT_NBDE_UNLOCK" "$@" \
    < "$input" > "$out" 2> "$err" || status=$?
  assert_no_leftovers
}
printf '%s\n' 'of a piece' "$(cat by-uuid.key)" > lines
nbde_given lines "${common[@]}" -i --keys-from-stdin \
  --key '/dev/sda3:key:not this one'
assert_status 1
has /dev/sda1 'Unlocked by: +token 0, keyslot 1'
has /dev/sda2 'Unlocked by: +a given key'
has /dev/sda3 'Not unlocked: '
has /dev/sda4 'Unlocked by: +a given key'
has /dev/sda5 'Not unlocked: +no Clevis binding'
assert_device_error /dev/sda3 'no key that was given opens it'
assert_equal 1 "$(grep -c '^virt-nbde-unlock: error: ' "$err")" 'errors'
assert_stderr_lacks 'not this one'

# On a terminal it asks, and does not show what is typed.  What was typed is
# among the keys that are written.
disk_of asked.img by-name.luks closed.luks
mkfifo typed
mark_run
last_command='script'
script -qefc "env ${marked[*]@Q} ${VIRT_NBDE_UNLOCK@Q} --format=raw \
  -a asked.img -i" typescript < typed > "$out" 2> "$err" &
script=$!
exec 7> typed
# Of the terminal, since script tells of neither.
asked ()
{
  grep -qsF -e "Key or passphrase of $1 (UUID " typescript
}
wait_for 300 asked /dev/sda1 || fail "no prompt: $(cat typescript)"
{ cat by-name.key; echo; } >&7
wait_for 100 asked /dev/sda2 || fail "no second prompt: $(cat typescript)"
echo >&7
status=0
wait $script || status=$?
exec 7>&-
assert_status 0
assert_no_leftovers
grep -q 'Unlocked by: *a given key' typescript ||
  fail "it was not opened: $(cat typescript)"
grep -q '/dev/sda2: no Clevis binding, left closed' typescript ||
  fail "the second device is not left closed: $(cat typescript)"
! grep -qF -e "$(cat by-name.key)" typescript || fail 'the key was shown'

# Given keys are among those that are written; others are not read.
nbde_given by-name.key --format=raw -a asked.img --output-keys keys \
  --key "/dev/sda2:file:closed.key" --keys-from-stdin
assert_status 0
{ cat by-name.key; echo; cat closed.key; } > expected
assert_same_file expected keys

# Mistakes are found before anything is started, and no key is shown.
nbde "${common[@]}" -i --key 'all:kye:secret word'
assert_status 1
assert_stderr_lacks 'secret word'
nbde "${common[@]}" -i --key all:file:gone.key
assert_status 1
assert_one_error 'key file gone\.key: No such file'
assert_stderr_lacks 'Starting the appliance'
