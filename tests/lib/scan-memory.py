#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Look for secrets in the memory of processes, for tests.
#
#   scan-memory.py SECRETS PID...
#
# SECRETS is a file with a line for each secret: its name and its bytes in
# hexadecimal.  They are looked for as they are, backwards (so OpenSSL keeps
# numbers), in base64url and in hexadecimal; and in pieces of 16 bytes, since part
# of a secret is one, too.  Prints a line for each secret and mapping:
#
#   PID PROGRAM SECRET locked|open MAPPING
#
# "locked" is memory that is locked, left out of core dumps and empty in child
# processes (flags lo, dd and wf of /proc/PID/smaps).  Exit status 1: a process
# could not be read.

import base64
import re
import sys

PIECE = 16
CHUNK = 1 << 16
ZEROES = bytes(CHUNK)
SAFE = {"lo", "dd", "wf"}


def forms(secret):
    """All pieces of all ways to write a secret."""
    pieces = set()
    for form in (secret, secret[::-1],
                 base64.urlsafe_b64encode(secret).rstrip(b"="),
                 secret.hex().encode()):
        for at in range(0, len(form) - PIECE + 1, PIECE):
            pieces.add(form[at:at + PIECE])
        pieces.add(form[-PIECE:])
    return pieces


def read_secrets(path):
    secrets = []
    for line in open(path):
        name, digits = line.split()
        secret = bytes.fromhex(digits)
        if len(secret) < PIECE:
            sys.exit(f"{name} is too short to be looked for")
        secrets.append((name, forms(secret)))
    pieces = {piece: name for name, found in secrets for piece in found}
    return pieces, re.compile(b"|".join(map(re.escape, pieces)))


def mappings(pid):
    """Start, end, name and flags of what can be read, and is not of a file."""
    current = None
    for line in open(f"/proc/{pid}/smaps", errors="replace"):
        head = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+)\s*(.*)",
                        line)
        if head:
            file_only = head[4] != "0" and "w" not in head[3]
            current = (int(head[1], 16), int(head[2], 16),
                       head[5] or "anonymous",
                       head[3].startswith("r") and not file_only)
        elif line.startswith("VmFlags:") and current and current[3] and \
                current[2] not in ("[vvar]", "[vsyscall]"):
            yield current[0], current[1], current[2], set(line.split()[1:])


def found_in(memory, start, end, pieces, pattern):
    """The names of the secrets in a part of a memory."""
    found, before = set(), b""
    while start < end:
        memory.seek(start)
        try:
            data = memory.read(min(CHUNK, end - start))
        except OSError:
            break
        if not data:
            break
        if data != ZEROES[:len(data)] or before.strip(b"\0"):
            for match in pattern.finditer(before + data):
                found.add(pieces[match[0]])
        before = data[-PIECE + 1:]
        start += len(data)
    return found


def scan(pid, pieces, pattern):
    program = open(f"/proc/{pid}/comm").read().strip()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end, name, flags in mappings(pid):
            where = "locked" if SAFE <= flags else "open"
            for secret in sorted(found_in(memory, start, end, pieces,
                                          pattern)):
                print(pid, program, secret, where, f"{name} at {start:x}")


def main():
    pieces, pattern = read_secrets(sys.argv[1])
    status = 0
    for pid in sys.argv[2:]:
        try:
            scan(pid, pieces, pattern)
        except (FileNotFoundError, ProcessLookupError):
            pass        # it has ended
        except OSError as error:
            print(f"process {pid}: {error}", file=sys.stderr)
            status = 1
    sys.exit(status)


main()
