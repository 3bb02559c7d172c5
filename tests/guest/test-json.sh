#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# --output-format=json: one document for every action, as the schema says and
# with no field that the schema does not know; what is in it is so.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
. "$top_srcdir/tests/lib/json.sh"
requires_tang
requires_appliance

# The validator would see a field too much, and one too few.
echo '{"version": 1, "surprise": 2}' > "$out"
assert_fails assert_valid planted

start_tang one
start_tang two
get_guests part-lvm
bind part-lvm root tang "$(tang_config one)"

# Everything at once, and where the time goes.
start=$EPOCHREALTIME
nbde --format=raw -a part-lvm.img --tang-allow 127.0.0.1 \
  --list --check --inspect --output-keys keys --output-format=json
wall=$(jq -n "$EPOCHREALTIME - $start")
assert_status 0
assert_valid all
uuid=$(luks_uuid part-lvm root)
assert_json all '.actions == ["list", "check", "inspect", "output-keys"]'
assert_json all '.looked_from == "appliance" and .reason == "--inspect"'
assert_json all '.devices | length == 1'
assert_json all ".devices[0] |
  .device == \"/dev/sda2\" and .kind == \"partition\" and .bound and
  .state == \"opened\" and .mapname == \"luks-$uuid\" and .errors == [] and
  .luks.uuid == \"$uuid\" and .luks.version == 2"
assert_json all ".devices[0].unlocked_by |
  .token == 0 and .keyslot == 1 and .servers == [\"$TANG_URL_one\"] and
  .seconds > 0 and .verify_seconds > 0"
assert_json all '.devices[0].luks.keyslots | map(.keyslot) == [0, 1]'
assert_json all ".devices[0].luks.tokens[0].pin |
  .pin == \"tang\" and .url == \"$TANG_URL_one\" and .curve == \"P-521\" and
  (.kid | length == 43) and .preflight == null"
assert_json all '.operating_systems | length == 1'
assert_json all '.operating_systems[0] |
  .root == "/dev/demo/root" and .distro == "debian" and
  .hostname == "part-lvm.example.com" and .version == "12.5"'
assert_json all '.operating_systems[0].filesystems |
  map(.mountpoint) == ["/", "/boot", "/home"]'
assert_json all '.timings.steps |
  has("launch") and has("header") and has("exchange") and has("verify") and
  has("open") and has("rescan") and has("inspect") and has("output") and
  has("shutdown")'
assert_json all '(.timings.steps | add) as $sum |
  $sum <= .timings.total and $sum >= .timings.total * 0.97'
assert_json all ".timings.total <= $wall and .timings.total >= $wall * 0.97"

# A key is nowhere in it.
key=$(< keys)
grep -qF -e "$key" keys || fail 'keys are not found where they are'
if grep -qF -e "$key" all.json; then fail 'the key is in the document'; fi

# Devices of all sorts, none of which is opened: sss with a server that is
# gone, no binding, a token that cannot be read, a damaged header.
bound_piece sss.luks sss "{\"t\":1,\"pins\":{\"tang\":[$(tang_config one),
  $(tang_config two)]}}"
piece unbound.luks
bound_piece broken.luks tang "$(tang_config one)"
edit_token broken.luks 0 '.jwe.protected = "e30"'
bound_piece gone.luks tang "$(tang_config two)"
piece damaged.luks
for offset in 0 16384; do
  printf '{"a' | dd of=damaged.luks bs=1 seek=$((offset + 4096)) \
    conv=notrunc status=none
done
disk_of disk.img sss.luks unbound.luks broken.luks gone.luks damaged.luks
end_server two

nbde --format=raw -a disk.img --tang-allow 127.0.0.1 --list --preflight \
  --output-format json
assert_status 2
assert_valid preflight
assert_json preflight '.looked_from == "host" and .reason == null'
assert_json preflight '.devices | map(.state) ==
  ["untried", "untried", "untried", "untried", "refused"]'
assert_json preflight '.devices | map(.preflight) ==
  ["opens-with-nothing-to-spare", "unbound", "does-not-open", "does-not-open",
   null]'
assert_json preflight '.devices[0].luks.tokens[0].pin |
  .pin == "sss" and .threshold == 1 and
  (.children | map(.preflight.key) == ["advertised", "unknown"]) and
  .children[0].preflight.signatures and
  .children[1].preflight.error.code == "unreachable"'
assert_json preflight '.devices[2].luks.tokens[0] |
  .pin == null and .error.code == "token"'
assert_json preflight '.devices[4] | .luks == null and
  .errors[0].code == "header" and .errors[0].device == "/dev/sda5"'

# Messages that are JSON as well: the document is one line among them.
nbde --format=raw -a disk.img --tang-allow 127.0.0.1 --tang-retries 0 --check \
  --output-format json --machine-readable
assert_status 2
jq -e -s 'length > 5 and all(has("type") or has("version"))' "$out" \
  >/dev/null || fail 'not JSON objects, one a line'
grep '^{"version": ' "$out" > document || fail 'no document on one line'
cp document "$out"
assert_valid check
assert_json check '.devices | map(.state) ==
  ["recovered", "unbound", "failed", "failed", "refused"]'
assert_json check ".devices[3].errors | any(.code == \"unreachable\" and
  .url == \"$TANG_URL_two\" and .pin == \"tang\" and .token == 0)"
assert_json check '.operating_systems == null and (.errors | length >= 2) and
  (.errors | any(.message | startswith("/dev/sda4: ")))'
