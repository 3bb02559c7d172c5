#!/bin/bash -
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Servers that do not do what a Tang server does: each is an error that names
# device, token, URL and cause, and none holds up the others.
#
# needs: appliance

. "$(dirname "$0")/../lib/functions.sh"
requires_tang
requires_appliance
requires jq

start_tang good
bound_piece good.luks tang "$(tang_config good)"
files=(good.luks)
expected=('')

# A device that is bound to a server of its own, and what is to be said of it
# when that is no more what it was:  bad NAME REGEXP
bad ()
{
  start_tang "$1"
  bound_piece "$1.luks" tang "$(tang_config "$1")"
  files+=("$1.luks")
  local url=TANG_URL_$1
  expected+=("token 0: .*${!url}.*$2")
}

# An HTTP answer in a file:  answer FILE STATUS TYPE BODY [HEADER]
answer ()
{
  printf 'HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n%s' \
    "$2" "$3" "${#4}" "${5+$5$'\r\n'}" "$4" > "$1"
}

type=application/jwk+json

bad closed 'cannot connect: .*[Rr]efused'
end_server closed

bad silent 'no whole reply within 3 seconds'
replace_server silent start_blackhole

bad slow 'no whole reply within 3 seconds'
end_server slow
start_server slow 'printf "HTTP/1.1 200 OK\r\nX: ";
                   while printf x; do sleep 0.2; done' "$TANG_PORT_slow"

bad babble 'did not answer with HTTP'
end_server babble
start_server babble 'while printf H; do sleep 0.2; done' "$TANG_PORT_babble"

bad hangup 'closed the connection'
replace_server hangup start_server 'exec head -n 1 >/dev/null'

bad keyless 'does not have the key .*404'
rm -rf "$TANG_DIR_keyless"
make_tang_keys "$TANG_DIR_keyless"

bad broken 'HTTP status 500'
answer 500 '500 Internal Server Error' text/plain 'no'
replace_server broken start_answer 500

bad redirect 'HTTP status 302: the server redirects'
answer 302 '302 Found' text/plain '' "Location: $TANG_URL_good/"
replace_server redirect start_answer 302

bad text 'not a JSON object'
answer text.http '200 OK' $type 'hello'
replace_server text start_answer text.http

bad html 'content type "text/html"'
answer html.http '200 OK' text/html '<html></html>'
replace_server html start_answer html.http

bad huge 'larger than'
answer huge.http '200 OK' $type "$(head -c 100000 /dev/zero | tr '\0' ' ')"
replace_server huge start_answer huge.http

bad curve 'curve|P-256'
answer curve.http '200 OK' $type '{"kty":"EC","crv":"P-256",
  "x":"axfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpY",
  "y":"T-NC4v4af5uO5-tKfA-eFivOM1drMV7Oy7ZAaDe_UfU"}'
replace_server curve start_answer curve.http

# A point of the right curve, but not the product that was asked for.
bad wrong 'does not decrypt'
jose jwk gen -i '{"kty":"EC","crv":"P-521"}' | jose jwk pub -i - -o wrong.jwk
answer wrong.http '200 OK' $type "$(cat wrong.jwk)"
replace_server wrong start_answer wrong.http

# The server is right, but the keyslot was changed since.
start_tang changed
bound_piece changed.luks tang "$(tang_config changed)"
clevis_pass changed.luks 1 old
printf %s 'something else' > new
cryptsetup luksChangeKey -q --key-file old --key-slot 1 changed.luks new ||
  fail 'cryptsetup luksChangeKey'
files+=(changed.luks)
expected+=('keyslot 1: .*does not accept the recovered passphrase')

disk_of disk.img "${files[@]}"
before=$(connections good)
nbde --format=raw -a disk.img --tang-allow 127.0.0.1 --tang-timeout 3 --check
assert_status 2
assert_only_device_errors

assert_stdout_matches "^/dev/sda1 .*: token 0, keyslot 1, $TANG_URL_good"
assert_equal $((before + 1)) "$(connections good)" \
  'connections: one for its device, none by redirection'
for ((i = 1; i < ${#files[@]}; i++)); do
  assert_device_error "/dev/sda$((i + 1))" "${expected[i]}"
done
