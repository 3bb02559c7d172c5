# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Makes a Windows registry hive that has nothing but its root, for
# hivexregedit to fill, and a program for Windows that is no more than its
# headers, by which inspection knows the architecture:
#
#   empty-hive.py HIVE
#   empty-hive.py --program FILE

import struct
import sys

PAGE = 0x1000
NONE = 0xffffffff


def cell(content):
    """A cell that is in use; its length is negative and a multiple of 8."""
    size = (4 + len(content) + 7) // 8 * 8
    return struct.pack('<i', -size) + content.ljust(size - 4, b'\0')


def root_key(own, security):
    name = b'$$$PROTO.HIV'
    flags = 0x2c                # root, not to be deleted, name in one-byte
    return cell(struct.pack(
        '<2sHQIIIIIIIIIIHHIIIIHH', b'nk', flags, 0, 0, own, 0, 0, NONE, NONE,
        0, NONE, security, NONE, 0, 0, 0, 0, 0, 0, len(name), 0) + name)


def security_key(own):
    return cell(struct.pack('<2sHIIII', b'sk', 0, own, own, 1, 20) + bytes(20))


def hive():
    first = 0x20                # offsets count from the first page
    second = first + len(root_key(0, 0))
    cells = root_key(first, second) + security_key(second)
    page = struct.pack('<4sII20x', b'hbin', 0, PAGE) + cells
    free = PAGE - len(page)
    page += struct.pack('<I', free).ljust(free, b'\0')
    header = struct.pack('<4sIIQIIIIIII', b'regf', 1, 1, 0, 1, 3, 0, 1, first,
                         len(page), 1).ljust(508, b'\0')
    checksum = 0
    for (word,) in struct.iter_unpack('<I', header):
        checksum ^= word
    return (header + struct.pack('<I', checksum)).ljust(PAGE, b'\0') + page


def program():
    dos = b'MZ'.ljust(0x3c, b'\0') + struct.pack('<I', 0x80)
    x86_64, console = 0x8664, 3
    coff = struct.pack('<4sHHIIIHH', b'PE\0\0', x86_64, 0, 0, 0, 0, 240, 0x22)
    optional = struct.pack('<H66xH', 0x20b, console).ljust(240, b'\0')
    return dos.ljust(0x80, b'\0') + coff + optional


content = program() if sys.argv[1] == '--program' else hive()
with open(sys.argv[-1], 'wb') as file:
    file.write(content)
