#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Write what no tool writes to a disk, in small files that say they are much:
#
#   hostile-disk.py partitions DISK START:SIZE:COUNT...
#
# A GPT, with COUNT partitions that are all in the same place, in MiB.
#
#   hostile-disk.py volume FILE VOLUME-GROUP LOGICAL-VOLUME
#
# A physical volume of LVM with one logical volume of 4 MiB.
#
#   hostile-disk.py texts FILE
#
# A physical volume that has four times the same text of 1 MiB.
#
#   hostile-disk.py encrypt DEVICE OFFSET KEY FILE
#
# A file becomes the contents of a LUKS device in a plain file, encrypted in
# aes-xts-plain64 with sectors of 512 bytes; OFFSET is where the data begins, KEY
# has the volume key.

import ctypes
import ctypes.util
import struct
import sys
import uuid
import zlib

SECTOR = 512
MIB = 1 << 20


def gpt(disk, places):
    disk.seek(0, 2)
    size = disk.tell()
    last = size // SECTOR - 1
    count = max(128, len(places))
    entries = b''
    for start, length in places:
        entries += uuid.UUID('0fc63daf-8483-4772-8e79-3d69d8477de4').bytes_le
        entries += uuid.uuid4().bytes_le
        entries += struct.pack('<QQQ', start, start + length - 1, 0)
        entries += bytes(72)
    entries = entries.ljust(128 * count, b'\0')

    def header(crc):
        return struct.pack(
            '<8sIIIIQQQQ16sQIII', b'EFI PART', 0x10000, 92, crc, 0, 1, last,
            34, last - 34, b'of a hostile one', 2, count, 128,
            zlib.crc32(entries))
    protective = struct.pack(
        '<BBBBBBBBII', 0, 0, 2, 0, 0xee, 255, 255, 255, 1, last)
    disk.seek(0)
    disk.write((bytes(446) + protective).ljust(510, b'\0') + b'\x55\xaa')
    disk.write(header(zlib.crc32(header(0))).ljust(SECTOR, b'\0') + entries)


def partitions(file, *parts):
    places = []
    for part in parts:
        start, length, count = map(int, part.split(':'))
        places += [(start * MIB // SECTOR, length * MIB // SECTOR)] * count
    with open(file, 'r+b') as disk:
        gpt(disk, places)


# LVM2

def crc(data):
    return zlib.crc32(data, 0xf597a6cf ^ 0xffffffff) ^ 0xffffffff


def dashes(text):
    ends = [0, 6, 10, 14, 18, 22, 26, 32]
    return '-'.join(text[a:b] for a, b in zip(ends, ends[1:]))


PV = 'pv'.ljust(32, '0')


def label(areas):
    body = PV.encode() + struct.pack('<Q', 1 << 30)
    for pair in [(MIB, 0), (0, 0), *areas, (0, 0)]:
        body += struct.pack('<QQ', *pair)
    body += struct.pack('<II', 2, 1)
    rest = (struct.pack('<I8s', 32, b'LVM2 001') + body).ljust(492, b'\0')
    return b'LABELONE' + struct.pack('<QI', 1, crc(rest)) + rest


def area(start, size, at, text):
    header = b' LVM2 x[5A%r0N*>' + struct.pack('<IQQ', 1, start, size)
    header += struct.pack('<QQII', at - start, len(text), crc(text), 0)
    header = header.ljust(508, b'\0')
    return struct.pack('<I', crc(header)) + header


def write_volume(file, text, areas, size, at):
    with open(file, 'wb') as disk:
        disk.truncate(max(8 * MIB, at + len(text)))
        disk.seek(SECTOR)
        disk.write(label([(start, size) for start in areas]))
        for start in areas:
            disk.seek(start)
            disk.write(area(start, size, at, text))
        disk.seek(at)
        disk.write(text)


GROUP = '''%s {
id = "%s"
seqno = 2
format = "lvm2"
status = ["RESIZEABLE", "READ", "WRITE"]
flags = []
extent_size = 8192
max_lv = 0
max_pv = 0
metadata_copies = 0
physical_volumes {
pv0 {
id = "%s"
status = ["ALLOCATABLE"]
flags = []
dev_size = 16384
pe_start = 2048
pe_count = 1
}
}
logical_volumes {
%s {
id = "%s"
status = ["READ", "WRITE", "VISIBLE"]
flags = []
segment_count = 1
segment1 {
start_extent = 0
extent_count = 1
type = "striped"
stripe_count = 1
stripes = ["pv0", 0]
}
}
}
}
contents = "Text Format Volume Group"
version = 1
description = ""
creation_host = "h"
creation_time = 1700000000
'''


def volume(file, group, logical):
    text = GROUP % (group, dashes('vg'.ljust(32, '0')), dashes(PV), logical,
                    dashes('lv'.ljust(32, '0')))
    write_volume(file, text.encode() + b'\0', [4096], MIB - 4096, 4096 + 512)


def texts(file):
    text = b'#' * (MIB - 2) + b'\n\0'
    areas = [4096 * (i + 1) for i in range(4)]
    write_volume(file, text, areas, 4 * MIB, 64 * 1024)


# libcrypto, which is there wherever cryptsetup is

def xts(key):
    library = ctypes.util.find_library('crypto')
    crypto = ctypes.CDLL(library)
    crypto.EVP_CIPHER_CTX_new.restype = ctypes.c_void_p
    crypto.EVP_aes_256_xts.restype = ctypes.c_void_p
    context = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new())
    cipher = ctypes.c_void_p(crypto.EVP_aes_256_xts())
    result = ctypes.create_string_buffer(SECTOR)
    length = ctypes.c_int()

    def encrypt(number, data):
        tweak = number.to_bytes(16, 'little')
        if not (crypto.EVP_EncryptInit_ex(context, cipher, None, key, tweak)
                and crypto.EVP_EncryptUpdate(
                    context, result, ctypes.byref(length), data, SECTOR)
                and length.value == SECTOR):
            sys.exit('libcrypto does not encrypt')
        return result.raw
    return encrypt


def encrypt(device, offset, key, file):
    with open(key, 'rb') as key, open(file, 'rb') as plain:
        one = xts(key.read())
        data = plain.read()
    sectors = range(0, len(data), SECTOR)
    with open(device, 'r+b') as disk:
        disk.seek(int(offset))
        for at in sectors:
            sector = data[at:at + SECTOR].ljust(SECTOR, b'\0')
            disk.write(one(at // SECTOR, sector))


commands = {'partitions': partitions, 'volume': volume, 'texts': texts,
            'encrypt': encrypt}
commands[sys.argv[1]](*sys.argv[2:])
