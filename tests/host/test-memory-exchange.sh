#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# While a server is waited for, what was recovered before is in locked memory of
# the vault and nowhere else: passphrase, share, private keys of the exchange; and nothing is
# left of what is needed no more: volume key, content key, shared secret.

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/tang.sh"
. "$top_srcdir/tests/lib/memory.sh"
requires gdb

start_tang one
start_tang stalled
bound_piece d.luks tang "$(tang_config one)"
bound_piece both.luks sss "{\"t\":2,\"pins\":{\"tang\":[
  $(tang_config one), $(tang_config stalled)]}}"

token_jwe ()
{
  cryptsetup token export --token-id 0 "$1" |
    jq -j '[.jwe | .protected, .encrypted_key // "", .iv, .ciphertext, .tag]
           | join(".")'
}
token_jwe d.luks > d.jwe
token_jwe both.luks | cut -d . -f 1 | jose b64 dec -i - |
  jq -j '.clevis.sss.jwe[0]' > share.jwe
add_device_secrets d d.luks 1
add_device_secrets both both.luks 1
add_tang_secrets d d.jwe "$TANG_DIR_one"
add_tang_secrets share share.jwe "$TANG_DIR_one"
clevis decrypt < share.jwe > share.bytes || fail 'no share'
head -c "$(($(stat -c %s share.bytes) / 2))" share.bytes | add_secret share-x
tail -c "$(($(stat -c %s share.bytes) / 2))" share.bytes | add_secret share-y
replace_server stalled start_blackhole

# Two of them write at the same time.
answers ()
{
  search -o '=> 200' "$TANG_LOG_one" | wc -l
}

# Run unlock-file in the background until all is done that can be; sets pid.
run_until_idle ()
{
  before=$(answers)
  "$unlock" --timeout 300 --deadline 300 --allow 127.0.0.1 "$@" > "$out" 2> "$err" &
  pid=$!
  groups+=("$pid")
  wait_for 60 is_idle || fail 'unlock-file does not wait for the server'
}
is_idle ()
{
  local now
  [ "$(answers)" -ge $((before + 2)) ] && [ "$(connections stalled)" -ge 1 ] ||
    return 1
  # All threads of it sleep, and have done so for a while.
  now=$(cat "/proc/$pid"/task/*/stat "/proc/$(pgrep -P "$pid" -x nbde-vault)"/task/*/stat |
          awk '{ print $14 + $15 }')
  [ "$now" = "${ticks-}" ] || { ticks=$now; quiet=0; return 1; }
  quiet=$((quiet + 1))
  [ "$quiet" -ge 20 ]
}

run_until_idle d.luks both.luks
vault=$(pgrep -x -P "$pid" nbde-vault)
nursery=$(pgrep -x -P "$pid" nbde-nursery)

# The wall stands.
for line in 'Seccomp: 2' 'NoNewPrivs: 1'; do
  tr '\t' ' ' < "/proc/$vault/status" | grep -qx "$line" ||
    fail "the vault does not have $line"
done

# The program that asks the servers has none of it.
scan "$pid" "$nursery"
assert_nothing_found 'in the program'
scan "$vault"
assert_only_locked 'waiting'
assert_found 'd-passphrase locked'
assert_found 'share-x locked'
assert_found 'share-y locked'
! grep -E 'volume-key|cek|shared|server' found ||
  fail 'something is kept that is not needed any more'

# The search finds a copy of a share in ordinary memory.
octal=$(od -An -v -to1 share.bytes | tr -s ' \n' '\\')
gdb -p "$vault" -batch \
  -ex "call (char *) strdup (\"${octal%\\}\")" > gdb.log 2>&1
scan "$vault"
assert_found 'share-x open \[heap\]'

# These are the keys that are used: when a JWE is decrypted, they are there.
end_server stalled
gdb -batch -ex 'set breakpoint pending on' -ex 'set follow-fork-mode child' \
  -ex 'break jose_jwe_dec_cek_io' \
  -ex run -ex "python import os; os.system(
    '$top_srcdir/tests/lib/scan-memory.py $secrets %d > found' %
    gdb.selected_inferior().pid)" \
  --args "$unlock" --allow 127.0.0.1 d.luks > gdb.log 2>&1
assert_only_locked 'at the decryption'
assert_found 'd-cek locked'
assert_found 'd-shared locked'
