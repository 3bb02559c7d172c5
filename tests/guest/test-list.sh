#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --list shows devices, keyslots, tokens of every kind and their pins, and
# contacts nobody.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires jq

start_tang one
start_tang two

bound_piece tang.luks tang "$(tang_config one)"
cryptsetup config --label 'the label' tang.luks

# Tokens of other programs beside one of Clevis.
bound_piece mixed.luks tang "$(tang_config one)"
blob=$(printf blob | base64)
import ()
{
  printf %s "$1" > token.json
  cryptsetup token import --json-file token.json mixed.luks ||
    fail "cannot import $1"
}
import '{"type":"systemd-tpm2","keyslots":["0"],"tpm2-blob":"'"$blob"'",
  "tpm2-pcrs":[7],"tpm2-pcr-bank":"sha256","tpm2-primary-alg":"ecc",
  "tpm2-policy-hash":"abcd"}'
import '{"type":"systemd-fido2","keyslots":["0"],"fido2-rp":"x",
  "fido2-credential":"'"$blob"'","fido2-salt":"'"$blob"'",
  "fido2-clientPin-required":true,"fido2-up-required":true,
  "fido2-uv-required":false}'
import '{"type":"who-knows","keyslots":[]}'

# Both servers in one tree.
bound_piece tree.luks sss \
  '{"t":2,"pins":{"tang":['"$(tang_config one),$(tang_config two)"']}}'

piece unbound.luks
# A passphrase with a KDF that costs something.
printf %s 'another' > another
cryptsetup luksAddKey -q --key-file passphrase --pbkdf argon2id \
  --pbkdf-memory 65536 --pbkdf-force-iterations 4 --pbkdf-parallel 1 \
  unbound.luks another
truncate -s 3M other.luks

disk_of disk.img tang.luks mixed.luks tree.luks unbound.luks other.luks
sha256sum disk.img > sum
before=$(connections one).$(connections two)

nbde --format=raw -a disk.img --list
assert_status 0

assert_equal "$before" "$(connections one).$(connections two)" \
  'connections to the servers'
sha256sum --quiet -c sum || fail 'the disk was changed'

# The lines about one device.
of_device ()
{
  sed -n "/^\/dev\/sda$1: /,/^\$/p" "$out"
}
device_has ()
{
  of_device "$1" | grep -qE -e "$2" ||
    fail "/dev/sda$1: no line matches: $2"
}

# The thumbprint of a server's exchange key is the name of its file.
kid ()
{
  local dir=TANG_DIR_$1
  basename "$(grep -l deriveKey "${!dir}"/*.jwk)" .jwk
}

device_has 1 '^/dev/sda1: LUKS2, 3(\.0)? ?M'
device_has 1 "$(uuid_of tang.luks)"
device_has 1 'the label'
device_has 1 'aes-xts-plain64, 512-bit key'
device_has 1 '^ *0 +pbkdf2 +sha256, 1000 iterations'
device_has 1 '^ *1 +pbkdf2 +sha256, 1000 iterations'
device_has 1 '^ *0 +clevis, keyslot 1$'
device_has 1 "^ *tang $TANG_URL_one\$"
device_has 1 "^ *kid: $(kid one) \(S256, P-521\)\$"

device_has 2 '^ *0 +clevis, keyslot 1$'
device_has 2 '^ *1 +systemd-tpm2, keyslot 0$'
device_has 2 '^ *2 +systemd-fido2, keyslot 0$'
device_has 2 '^ *3 +who-knows, no keyslot$'

device_has 3 '^ *sss, 2 of 2$'
device_has 3 "tang $TANG_URL_one\$"
device_has 3 "tang $TANG_URL_two\$"
device_has 3 "kid: $(kid two)"

device_has 4 'argon2id +64(\.0)? ?M.*, 4 iterations, 1 threads?'
device_has 4 '^ *Tokens: none$'
assert_stdout_lacks /dev/sda5
