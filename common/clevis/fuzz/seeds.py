#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Makes the inputs that the fuzz targets start from, of the headers that
# tests/malformed/generate.py has made:
#
#   seeds.py HEADERS DIR [good]
#
# DIR then holds a folder for fuzz-luks, fuzz-jwe, fuzz-policy and fuzz-message
# each.  With
# "good" only the headers that nothing is wrong with are used.

import glob
import json
import os
import re
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                '../../../tests/malformed'))
sys.dont_write_bytecode = True

from formats import decode_header  # noqa: E402

# Binary header, and what fuzz-luks takes of each kind.
LUKS2_BINARY, LUKS2_JSON = 512, 4096
LUKS1_HEADER, LUKS1_META, META_HEADER = 592, 0x101000, 272

POLICIES = [
    'http://tang.example.com',
    'tang:8080/x\na *.example.com:80\nm tang=http://127.0.0.1:7500/y',
    'https://[2001:db8::7]:8443\na [2001:db8::]/32\np http://proxy:3128',
    'http://2130706433/\na 127.0.0.0/8\nr tang:80:192.0.2.1\nn .example.com',
    'http://[::ffff:127.0.0.1]\na https://localhost\nm h/x=https://i/y',
    'http://192.0.2.1\na 192.0.2.0/24\nn 192.0.2.0/24,10.0.0.1\np socks5://x',
]


def save(folder, name, data):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), 'wb') as f:
        f.write(data)


def message_tags():
    """Numbers of the messages of vault/message.h, by their names."""
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)),
                        '../vault/message.h')
    with open(path) as f:
        text = f.read()
    text = text[text.index('enum message_tag'):text.index('MESSAGE_LAST')]
    names = re.findall(r'^  MESSAGE_(\w+),', text, re.M)
    return {name: i for i, name in enumerate(names)}


TAGS = message_tags()


def message(name, number=0, content=b''):
    return struct.pack('>BBH', TAGS[name], number, len(content)) + content


def plain(name, number=0, other=0, a=0, b=0):
    return message(name, number, struct.pack('=IIqq', other, 0, a, b))


def text(name, value, b=0):
    return message(name, 0, struct.pack('=qBB', b, 0, 1) + value)


def pieces(data):
    """DATA of what is not zero."""
    for at in range(0, len(data), 512):
        piece = data[at:at + 512].rstrip(b'\0')
        if piece:
            yield message('LUKS_DATA', 1,
                          struct.pack('=QI', at, len(piece)) + piece)


def message_seed(folder, name, data):
    """A header is read, listed, opened, and forgotten."""
    m = [text('LUKS_NEW', b'/dev/x', 1 << 30), plain('LUKS_NEXT', 1)]
    m += pieces(data)
    for _ in range(4):
        m += [plain('LUKS_SUPPLIED', 1), plain('LUKS_NEXT', 1)]
    m += [plain('LUKS_LIST', 1), plain('EXCHANGE_NEW', a=50),
          plain('ADD_DEVICE', 1), plain('RUN'), plain('MAKE_POINT', 1),
          message('ANSWER', 1, struct.pack('=iI', 200, 2)),
          message('BODY', 1, struct.pack('=QI', 0, 2) + b'{}'),
          plain('RESULT'), plain('RUN_FREE'), plain('KEY_READ'),
          plain('KEY_CHOMP', 1), plain('KEY_EQUAL', 1, other=1),
          plain('LUKS_DATA_EXTENT', 1), plain('LUKS_UNLOCK', 1, other=1, a=1),
          message('LUKS_DECRYPT', 1, struct.pack('=QI', 0, 512)),
          plain('LUKS_QUICKEN', 1, other=1), plain('LUKS_READ', 1, b=16384),
          plain('STATUS'), plain('KEY_FREE', 1), plain('LUKS_FREE', 1),
          b'secret']
    save(folder + '/fuzz-message', name, b'\0' + b''.join(m))


def unpack(header):
    """A protected header whose children are headers as well."""
    sss = header.get('clevis', {}).get('sss', {})
    if isinstance(sss, dict) and isinstance(sss.get('jwe'), list):
        sss['jwe'] = [unpack(decode_header(jwe.split('.')[0]))
                      for jwe in sss['jwe']]
    return header


def luks2_seeds(folder, name, data):
    size = int.from_bytes(data[8:16], 'big')
    area = data[LUKS2_JSON:size if 4096 < size < len(data) else 16384]
    json_text = area.rstrip(b'\0')
    save(folder + '/fuzz-luks', name,
         b'\1' + data[:LUKS2_BINARY] + json_text)
    if name.endswith('.good'):
        save(folder + '/fuzz-luks', name + '-try',
             b'\x41' + data[:LUKS2_BINARY] + json_text)
    save(folder + '/fuzz-luks', name + '-raw', b'\0' + data[:LUKS2_BINARY])
    message_seed(folder, name, data[:32768])
    try:
        tokens = json.loads(json_text)['tokens']
        jwe = tokens['0']['jwe']
        save(folder + '/fuzz-jwe', name, json.dumps(jwe).encode())
        header = unpack(decode_header(jwe['protected']))
        save(folder + '/fuzz-jwe', name + '-header',
             b'h' + json.dumps(header).encode())
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass                    # one of those that are malformed


def luks1_seeds(folder, name, data):
    meta = data[LUKS1_META:LUKS1_META + META_HEADER]
    jwe = data[LUKS1_META + 4096:LUKS1_META + 8192].rstrip(b'\0')
    save(folder + '/fuzz-luks', name,
         b'\2' + data[:LUKS1_HEADER] + meta + jwe)
    if name.endswith('.good'):
        save(folder + '/fuzz-luks', name + '-try',
             b'\x42' + data[:LUKS1_HEADER] + meta + jwe)
    save(folder + '/fuzz-luks', name + '-raw', b'\0' + data[:LUKS1_HEADER])
    save(folder + '/fuzz-jwe', name, jwe)


def main():
    headers, folder = sys.argv[1:3]
    pattern = '*.good' if 'good' in sys.argv[3:] else '*'
    for path in sorted(glob.glob(os.path.join(headers, pattern))):
        if not path.endswith(('.good', '.img')):
            continue
        with open(path, 'rb') as f:
            data = f.read(LUKS1_META + 8192)
        name = os.path.basename(path)
        if data[6:8] == b'\0\1' and data[LUKS1_META:LUKS1_META + 1] == b'L':
            luks1_seeds(folder, name, data)
        elif not name.startswith(('luks1-', 'meta')):
            luks2_seeds(folder, name, data)
    for i, policy in enumerate(POLICIES):
        save(folder + '/fuzz-policy', str(i), policy.encode())


if __name__ == '__main__':
    main()
