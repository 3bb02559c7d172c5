#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Makes the malformed headers of cases.py:
#
#   generate.py DIR
#
# DIR then holds an image NAME.img for each, and "expected", with a line
# "NAME<tab>CODE<tab>TEXT" for each.  The good headers that they are made from
# come from cryptsetup, clevis, jose and luksmeta; no server is asked.

import os
import subprocess
import sys

from cases import CASES
from formats import Luks1, Luks2

GOOD_HEADERS = r'''
PATH=$PATH:/usr/sbin:/sbin

# An advertisement, as a Tang server would give it.
jose jwk gen -i '{"alg":"ES256"}' -o signing.jwk
jose jwk gen -i '{"alg":"ECMR","crv":"P-256"}' -o exchange.jwk
jose jwk pub -i signing.jwk -o signing.pub
jose jwk pub -i exchange.jwk -o exchange.pub
printf '{"keys":[%s,%s]}' "$(cat signing.pub)" "$(cat exchange.pub)" > adv
jose jws sig -I adv -k signing.jwk -o adv.jws \
  -s '{"protected":{"alg":"ES256","cty":"jwk-set+json"}}'
tang='{"url":"http://tang.example.com","adv":"adv.jws"}'

cheap='--pbkdf pbkdf2 --pbkdf-force-iterations 1000'
printf admin > admin

# make_luks2 FILE METADATA-SIZE
make_luks2 ()
{
  truncate -s 2M "$1"
  cryptsetup luksFormat -q --type luks2 -s 256 --luks2-metadata-size $2 \
    --luks2-keyslots-size 256k --offset 1024 $cheap "$1" admin
}

# A keyslot and a token, with the JWE on standard input.
bind ()
{
  cryptsetup luksAddKey -q -d admin --key-slot 1 $cheap "$1" passphrase
  jose jwe fmt -i - -o jwe
  printf '{"type":"clevis","keyslots":["1"],"jwe":%s}' "$(cat jwe)" |
    cryptsetup token import "$1"
}

printf 'a passphrase' > passphrase
make_luks2 tang.good 16k
make_luks2 sss.good 16k
make_luks2 null.good 16k
make_luks2 deep.good 64k
clevis encrypt tang "$tang" < passphrase | bind tang.good
clevis encrypt sss '{"t":2,"pins":{"tang":['"$tang,$tang"'],
                     "sss":{"t":1,"pins":{"tang":'"$tang"'}}}}' \
  < passphrase | bind sss.good
clevis encrypt sss '{"t":1,"pins":{"null":{}}}' < passphrase |
  bind deep.good
clevis encrypt null '{}' < passphrase | bind null.good

truncate -s 4M meta.good
cryptsetup luksFormat -q --type luks1 -s 256 --pbkdf-force-iterations 1000 \
  meta.good admin
luksmeta init -f -d meta.good
cryptsetup luksAddKey -q -d admin --key-slot 1 --pbkdf-force-iterations 1000 \
  meta.good passphrase
clevis encrypt tang "$tang" < passphrase | luksmeta save -d meta.good -s 1 \
  -u cb6e8904-81ff-40da-a84a-07ab9ab5715e
'''


def main():
    folder = sys.argv[1]
    os.makedirs(folder, exist_ok=True)
    made = subprocess.run(['bash', '-euc', 'set -o pipefail\n' + GOOD_HEADERS],
                          cwd=folder, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT)
    if made.returncode != 0:
        sys.exit('the good headers cannot be made:\n' +
                 made.stdout.decode(errors='replace'))
    with open(os.path.join(folder, 'expected'), 'w') as expected:
        for name, base, code, text, change in CASES:
            kind = Luks1 if base == 'meta' else Luks2
            header = kind(os.path.join(folder, base + '.good'))
            change(header)
            header.save(os.path.join(folder, name + '.img'))
            expected.write('%s\t%s\t%s\n' % (name, code, text))


if __name__ == '__main__':
    main()
