#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# A slow NBD server of one connection, on standard input and output:
#
#   slow-nbd.py IMAGE SECONDS FROM UNTIL SEEN
#
# A read of what lies between these offsets is answered after so many seconds.  When
# it comes, the file SEEN is made.

import struct
import sys
import time

file, seconds, first, last, seen = sys.argv[1:]
image = open(file, 'rb')
size = image.seek(0, 2)
asked, answers = sys.stdin.buffer, sys.stdout.buffer

OPT_INFO, OPT_GO = 6, 7
REP_ACK, REP_INFO, REP_UNSUPPORTED = 1, 3, 0x80000001
READ_ONLY = 3
READ, DISCONNECT = 0, 2


def get(form):
    data = asked.read(struct.calcsize(form))
    if len(data) < struct.calcsize(form):
        sys.exit()
    return struct.unpack(form, data)


def put(data):
    answers.write(data)
    answers.flush()


def agree():
    put(b'NBDMAGIC' + b'IHAVEOPT' + struct.pack('>H', 1))
    get('>I')
    while True:
        _, option, length = get('>8sII')
        asked.read(length)

        def reply(kind, data=b''):
            put(struct.pack('>QIII', 0x3e889045565a9, option, kind, len(data))
                + data)
        if option in (OPT_INFO, OPT_GO):
            reply(REP_INFO, struct.pack('>HQH', 0, size, READ_ONLY))
            reply(REP_ACK)
            if option == OPT_GO:
                return
        else:
            reply(REP_UNSUPPORTED)


agree()
while True:
    _, _, command, cookie, offset, length = get('>IHHQQI')
    if command == DISCONNECT:
        break
    if offset < int(last) and offset + length > int(first):
        open(seen, 'w').close()
        time.sleep(float(seconds))
    image.seek(offset)
    put(struct.pack('>IIQ', 0x67446698, 0, cookie)
        + image.read(length).ljust(length, b'\0'))
