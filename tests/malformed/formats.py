# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# LUKS headers taken apart, so that one field can be changed and everything
# that depends on it be put right again: checksums and base64, mostly.
#
# Source: LUKS2 On-Disk Format Specification 1.1.1, LUKS On-Disk Format
# Specification 1.2.3, RFC 7516 (JWE).  The layout of luksmeta was read from
# what luksmeta(8) writes.

import base64
import hashlib
import json

KIB = 1024


def be(value, size):
    """A number as the formats have them: big endian."""
    return value.to_bytes(size, 'big')


def b64(data):
    return base64.urlsafe_b64encode(data).decode().rstrip('=')


def unb64(text):
    return base64.urlsafe_b64decode(text + '=' * (-len(text) % 4))


def decode_header(protected):
    return json.loads(unb64(protected))


def encode_header(header):
    return b64(json.dumps(header).encode())


def edit_compact(jwe, change):
    """A JWE in compact serialisation with its protected header changed."""
    parts = jwe.split('.')
    header = decode_header(parts[0])
    change(header)
    parts[0] = encode_header(header)
    return '.'.join(parts)


class Luks2:
    """A LUKS2 header: two binary headers and one JSON document."""

    MAGIC, VERSION, SIZE, SEQID, LABEL, CSUM_ALG = 0, 6, 8, 16, 24, 72
    UUID, OFFSET, CSUM = 168, 256, 448
    BINARY = 4096

    def __init__(self, path):
        with open(path, 'rb') as f:
            self.data = bytearray(f.read())
        self.size = int.from_bytes(self.data[8:16], 'big')
        self.binary = [self.data[:self.BINARY],
                       self.data[self.size:self.size + self.BINARY]]
        area = self.data[self.BINARY:self.size]
        self.json = json.loads(area[:area.index(0)].decode())
        self.text = [None, None]    # bytes to write instead of the JSON
        self.fix = [True, True]     # put the checksum right?

    # Binary headers.

    def first(self, offset, value):
        self.binary[0][offset:offset + len(value)] = value

    def second(self, offset, value):
        self.binary[1][offset:offset + len(value)] = value

    def both(self, offset, value):
        self.first(offset, value)
        self.second(offset, value)

    def both_text(self, text):
        self.text = [text, text]

    # JSON.

    def token(self):
        return self.json['tokens']['0']

    def jwe(self):
        return self.token()['jwe']

    def keyslot(self):
        """Of the token."""
        return self.json['keyslots']['1']

    def header(self, change):
        """Change the protected header of the token's JWE."""
        header = decode_header(self.jwe()['protected'])
        change(header)
        self.jwe()['protected'] = encode_header(header)

    def pin(self, change):
        """Change the configuration of the token's pin."""
        def edit(header):
            clevis = header['clevis']
            change(clevis[clevis['pin']])
        self.header(edit)

    def child(self, i, change):
        """Change the protected header of child i of an sss pin."""
        def edit(config):
            config['jwe'][i] = edit_compact(config['jwe'][i], change)
        self.pin(edit)

    def save(self, path):
        data = bytearray(self.data)
        for i in range(2):
            text = self.text[i]
            if text is None:
                text = json.dumps(self.json, separators=(',', ':')).encode()
            room = self.size - self.BINARY
            binary = bytearray(self.binary[i])
            area = text[:room].ljust(room, b'\0')
            if self.fix[i]:
                binary[self.CSUM:self.CSUM + 64] = bytes(64)
                digest = hashlib.sha256(binary + area).digest()
                binary[self.CSUM:self.CSUM + len(digest)] = digest
            data[i * self.size:(i + 1) * self.size] = binary + area
        write(path, data)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


class Luks1:
    """A LUKS1 header with luksmeta in the gap before the payload."""

    VERSION, CIPHER, MODE, HASH, PAYLOAD, KEY_BYTES = 6, 8, 40, 72, 104, 108
    DIGEST_ITERATIONS, UUID = 164, 168
    # Of luksmeta's header, then of one slot in it.
    META_VERSION, META_CRC, META_SLOTS, META_SIZE = 8, 12, 16, 272
    SLOT_UUID, SLOT_OFFSET, SLOT_LENGTH, SLOT_CRC = 0, 16, 20, 24

    def __init__(self, path):
        with open(path, 'rb') as f:
            self.data = bytearray(f.read())
        self.meta = self.data.index(b'LUKSMETA')
        self.fix = True
        self.cut = None             # length to cut the file to

    def put(self, offset, value):
        self.data[offset:offset + len(value)] = value

    @staticmethod
    def keyslot(i):
        """Where keyslot i is: active, iterations, salt, material, stripes."""
        return 208 + 48 * i

    # luksmeta.

    def put_meta(self, offset, value):
        self.put(self.meta + offset, value)

    def slot(self, i=1):
        return self.META_SLOTS + 32 * i

    def get_slot(self, offset):
        start = self.meta + self.slot() + offset
        return int.from_bytes(self.data[start:start + 4], 'big')

    def put_slot(self, offset, value):
        self.put_meta(self.slot() + offset, value)

    def set_jwe(self, text):
        """Replace what slot 1 holds."""
        start = self.meta + self.get_slot(self.SLOT_OFFSET)
        self.put(start, text)
        self.put_slot(self.SLOT_LENGTH, be(len(text), 4))
        self.put_slot(self.SLOT_CRC, be(crc32c(text), 4))

    def jwe(self):
        start = self.meta + self.get_slot(self.SLOT_OFFSET)
        return bytes(self.data[start:start + self.get_slot(self.SLOT_LENGTH)])

    def save(self, path):
        if self.fix:
            header = self.data[self.meta:self.meta + self.META_SIZE]
            header[self.META_CRC:self.META_CRC + 4] = bytes(4)
            self.put_meta(self.META_CRC, be(crc32c(header), 4))
        write(path, self.data[:self.cut])


def write(path, data):
    """Write a file without its zeroes, where whole blocks are."""
    block = 4 * KIB
    with open(path, 'wb') as f:
        for i in range(0, len(data), block):
            piece = data[i:i + block]
            if piece.count(0) != len(piece):
                f.seek(i)
                f.write(piece)
        f.truncate(len(data))
