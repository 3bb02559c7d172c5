#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Tokens that are not what Clevis writes: each is an error that names device,
# token and cause; none makes the tool ask a server; a good device beside them
# is unlocked all the same.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires jq

start_tang one

bound_piece good.luks tang "$(tang_config one)"
files=(good.luks)
expected=('')

# A bound device whose token is then edited:
#   bad NAME REGEXP edit_token|edit_jwe ARGUMENT...
bad ()
{
  local file=$1.luks
  # All are copies of the first but for their UUID.
  cp good.luks "$file"
  cryptsetup luksUUID -q --uuid "$(uuid_of "$file")" "$file" ||
    fail 'cryptsetup luksUUID'
  "$3" "$file" "${@:4}"
  files+=("$file")
  expected+=("token 0: .*$2")
}

bad no-jwe 'the token has no JWE' edit_token 0 'del(.jwe)'
bad number-jwe 'JWE' edit_token 0 '.jwe = 7'
bad text-jwe 'malformed JWE: .*five parts' edit_token 0 '.jwe = "garbage"'
bad cut-jwe 'malformed JWE' edit_token 0 '.jwe |= {protected, iv}'
bad no-header 'protected header cannot be decoded' \
  edit_token 0 '.jwe.protected = "bm90IEpTT04"'
bad typed-header 'malformed JWE' edit_token 0 '.jwe.tag = 1'
bad short-iv 'iv or tag' edit_token 0 '.jwe.iv = "AAAA"'

bad no-pin 'does not name a Clevis pin' edit_jwe 'del(.clevis)'
bad other-pin 'tang5' edit_jwe '.clevis.pin = "tang5"'
bad no-url 'the pin has no url' edit_jwe 'del(.clevis.tang.url)'
bad number-url 'the pin has no url' edit_jwe '.clevis.tang.url = 1'
bad no-adv 'no advertisement' edit_jwe 'del(.clevis.tang.adv)'
bad no-kid 'no kid' edit_jwe 'del(.kid)'
bad other-kid 'no key with the thumbprint' \
  edit_jwe '.kid |= (.[:-2] + "AA")'

bad zip '"zip" is refused' edit_jwe '.zip = "DEF"'
bad p2c '"p2c" is refused' edit_jwe '.p2c = 1000000000'
bad crit '"crit" is refused' edit_jwe '.crit = ["exp"]'
bad alg 'algorithm "RSA1_5"' edit_jwe '.alg = "RSA1_5"'
bad alg-dir 'algorithm "dir"' edit_jwe '.alg = "dir"'
bad enc 'encryption "A128CBC-HS256"' edit_jwe '.enc = "A128CBC-HS256"'

bad no-epk 'epk' edit_jwe 'del(.epk)'
bad off-curve 'epk' edit_jwe '.epk.x = .epk.y'
p256='{kty: "EC", crv: "P-256",
       x: "axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
       y: "T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}'
bad other-curve 'epk is on curve P-256, the exchange key on P-521' \
  edit_jwe ".epk = $p256"

bad file-url 'only http and https' \
  edit_jwe '.clevis.tang.url = "file:///etc/passwd"'
bad gopher-url 'only http and https' \
  edit_jwe '.clevis.tang.url |= sub("http"; "gopher")'
bad user-url 'user name' \
  edit_jwe '.clevis.tang.url |= sub("//"; "//root:x@")'
bad empty-url 'URL' edit_jwe '.clevis.tang.url = ""'
# Names come from the disk and may be made for a terminal.
bad escape-url '\\x1b\[31mevil://x: the URL is malformed' \
  edit_jwe '.clevis.tang.url = "\u001b[31mevil://x"'

disk_of disk.img "${files[@]}"
before=$(connections one)
nbde --format=raw -a disk.img --tang-allow 127.0.0.1 --list --check
assert_status 2
assert_only_device_errors
! grep -q $'\e' "$out" "$err" || fail 'an escape character was printed'

assert_stdout_matches "^/dev/sda1 .*: token 0, keyslot 1, $TANG_URL_one"
assert_equal $((before + 1)) "$(connections one)" 'connections'
for ((i = 1; i < ${#files[@]}; i++)); do
  assert_device_error "/dev/sda$((i + 1))" "${expected[i]}"
  assert_stdout_matches "^/dev/sda$((i + 1)) .*: failed\$"
done
