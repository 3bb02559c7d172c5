#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Bindings that "clevis luks bind" has made, on LUKS2 and LUKS1, and the forms
# in which older versions wrote them: for each the library finds the bytes that
# "clevis luks pass" prints.  No appliance.

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires curl jq luksmeta

unlock=$top_builddir/common/clevis/vault/unlock-file
[ -x "$unlock" ] || skip 'no unlock-file (make check builds it)'

start_tang one
start_tang two
tang=$(tang_config one)
both=$tang,$(tang_config two)

# The library's passphrase of a device, to a file:  library_pass FILE OUTPUT
library_pass ()
{
  run_command "$unlock" -a 127.0.0.1 "$1"
  [ "$status" -eq 0 ] || fail "$1 was not unlocked"
  head -c -1 "$out" > "$2"
}

# The device has one binding, of a keyslot:  same_pass FILE KEYSLOT
same_pass ()
{
  clevis_pass "$1" "$2" expected
  library_pass "$1" got
  cmp expected got >&2 || fail "$1: another passphrase"
}

# LUKS2: one device for each pin.

bound_piece tang tang "$tang"
bound_piece sss1 sss "{\"t\":1,\"pins\":{\"tang\":[$both]}}"
bound_piece sss2 sss "{\"t\":2,\"pins\":{\"tang\":[$both]}}"
bound_piece nested sss "{\"t\":2,\"pins\":{\"tang\":$tang,
  \"sss\":{\"t\":1,\"pins\":{\"tang\":[$both]}}}}"
for name in tang sss1 sss2 nested; do
  same_pass $name 1
done

# LUKS1, with luksmeta: one binding, then a second one.

luks_file luks1 6 "$(uuid_of luks1)" passphrase --type luks1 ||
  fail 'no LUKS1 device'
luksmeta init -f -d luks1
bind_luks luks1 passphrase tang "$tang" || fail 'cannot bind'
same_pass luks1 1
bind_luks luks1 passphrase sss "{\"t\":2,\"pins\":{\"tang\":[$both]}}" ||
  fail 'cannot bind'
clevis_pass luks1 1 first
clevis_pass luks1 2 second
library_pass luks1 got
cmp -s got first || cmp -s got second || fail 'neither passphrase of luks1'

# Three bindings of one device, of which only the last can be answered.

curl -sfg "$TANG_URL_one/adv" > adv || fail 'no advertisement'
bound_piece three tang '{"url":"http://127.0.0.1:9","adv":"adv"}'
bind_luks three passphrase tang '{"url":"http://127.0.0.1:9","adv":"adv"}' ||
  fail 'cannot bind'
bind_luks three passphrase tang "$tang" || fail 'cannot bind'
same_pass three 3

# Old and odd forms of the same token.  clevis reads them, too, unless said
# otherwise.

# A JWE in compact serialisation.
cp tang compact
edit_token compact 0 '.jwe |= (.protected + "." + .encrypted_key + "." +
  .iv + "." + .ciphertext + "." + .tag)'
library_pass compact got
clevis_pass tang 1 expected
cmp expected got >&2 || fail 'compact: another passphrase'

# The general serialisation with one recipient (clevis does not read it).
cp tang general
edit_token general 0 '.jwe |= (. + {"recipients":
  [{"encrypted_key": .encrypted_key}]} | del (.encrypted_key))'
library_pass general got
cmp expected got >&2 || fail 'general: another passphrase'

# A thumbprint of SHA-1 and a URL without a scheme, as they were once.  The
# header is authenticated, so it is encrypted anew.
jq -r .payload adv | jose b64 dec -i - > payload.json
jq -c '.keys[] | select (.key_ops[0] == "deriveKey")' payload.json \
  > exchange.json
jq -c 'del (.key_ops, .alg)' exchange.json > key.json
printf '{"protected":{"alg":"ECDH-ES","enc":"A256GCM","kid":"%s","clevis":
  {"pin":"tang","tang":{"url":"127.0.0.1:%s/","adv":%s}}}}' \
  "$(jose jwk thp -a S1 -i exchange.json)" "$TANG_PORT_one" \
  "$(cat payload.json)" > template.json
jose jwe enc -i template.json -k key.json -I expected -o old.json -c ||
  fail 'jose jwe enc'
jose jwe fmt -i old.json -o old-flat.json || fail 'jose jwe fmt'
cp tang old
edit_token old 0 ".jwe = $(cat old-flat.json)"
same_pass old 1
