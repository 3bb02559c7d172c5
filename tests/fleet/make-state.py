#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Makes a state folder of virt-nbde-fleet as if many guests had been worked on:
#
#   make-state.py [--guests N] [--servers N] [--hostile] FOLDER
#
# The records are those of a fleet with everything in it: all verdicts, servers
# that are down, keys that were rotated or are gone, TPMs, thresholds.  The
# documents are as virt-nbde-unlock prints them.  The same arguments make the same
# folder.  With --hostile, disks say what could break a report.
#
# The fleet, as tests rely on it: guest number i of N is called web-0001 or the
# like, and its servers are tang01 ... of which tang03 is down, tang05 has rotated
# its key, tang07 has lost it.

import argparse
import hashlib
import base64
import json
import os
import random
import uuid

DOWN, ROTATED, GONE, HTTPS = 3, 5, 7, 2
HOSTILE = [
    '<script>alert(1)</script><img src="http://evil.example/x.png" onerror=x>',
    '"\'></td></table><style>body{display:none}</style>&amp;&lt;',
    'bell\x07 escape\x1b[31mred\x1b[0m tab\t return\r line\nfeed\x00nul\x7fdel',
    '\u202egnp.exe\u202c \u200f\u200b\u2066isolated\u2069 \ufeffend\u2028line',
    'x' * 300,
    '\u00e4\u00f6\u00fc \u4e2d\u6587 \U0001f600 ' + '\u0301' * 20,
    ']]> <!-- --> <![CDATA[ %s %n {{7*7}} ${HOME} `id`',
    'a\\"b\\\\" 1\nvirt_nbde_fleet_guests{outcome="opens"} 9999',
]


def thumbprint(name):
    digest = hashlib.sha256(name.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip('=')


class Server:
    def __init__(self, number):
        self.number = number
        self.https = number == HTTPS
        scheme = 'https' if self.https else 'http'
        self.url = f'{scheme}://tang{number:02}.example.com'
        if number % 4 == 0:
            self.url += ':7500'
        self.kid = thumbprint(self.url)
        self.address = f'192.0.2.{number}'
        self.state = {DOWN: 'unknown', ROTATED: 'rotated',
                      GONE: 'gone'}.get(number, 'advertised')

    def works(self):
        return self.state in ('advertised', 'rotated')

    # Nobody writes a URL in the same way each time.
    def spelled(self, rng):
        url = self.url
        if rng.random() < 0.1:
            url = url.replace('tang', 'TANG').replace('.com', '.COM')
        if rng.random() < 0.1:
            url += '/'
        return url


def error(code, where, message, hint=None, **more):
    fields = dict(code=code, message=message, line=f'{where}: {message}',
                  hint=hint, device=where.split(':')[0], token=None,
                  keyslot=None, pin=None, url=None, mapped_url=None,
                  address=None, http_status=None)
    fields.update(more)
    return fields


def server_error(server, url, device, path):
    where = f'{device}: token 0: {path}: {url} ({server.address})'
    if server.number == DOWN:
        port = server.url.split(':')[-1] if server.number % 4 == 0 else '80'
        return error('unreachable', where, 'cannot connect: Connection refused',
                     'Is the server running, and does a firewall let this host '
                     f'through to port {port}?  Try: curl -g {server.url}/adv',
                     token=0, pin=path, url=url, address=server.address)
    return error('no-key', where,
                 f'the server does not have the key {server.kid} '
                 '(HTTP status 404)',
                 'The key may have been rotated and deleted, or this is not the '
                 'Tang server that the disk was bound to.  --preflight says '
                 'which keys of the disk are still there, --tang-map names '
                 'another server.', token=0, pin=path, url=url,
                 address=server.address, http_status=404)


def pin(name, path, **more):
    fields = dict(pin=name, path=path, threshold=None, url=None, kid=None,
                  thumbprint_hash=None, curve=None, parameters={}, warning=None,
                  error=None, preflight=None, children=[])
    fields.update(more)
    return fields


class Guest:
    """A guest with its binding: a threshold of servers, and of a TPM."""

    def __init__(self, number, name, servers, rng):
        self.name = name
        self.number = number
        self.rng = rng
        self.uuid = str(uuid.UUID(int=rng.getrandbits(128), version=4))
        self.device = rng.choice(['/dev/sda2', '/dev/sda3', '/dev/vg/root'])
        self.servers, self.threshold, self.tpm = [], 1, False
        shape = rng.random()
        first = servers[min(int(rng.expovariate(0.12)), len(servers) - 1)]
        others = [s for s in servers if s is not first]
        if shape < 0.5:
            self.servers = [first]
        elif shape < 0.8:
            self.servers = [first, rng.choice(others)]
        elif shape < 0.9:
            self.servers = [first] + rng.sample(others, 2)
            self.threshold = 2
        else:
            self.servers, self.tpm, self.threshold = [first], True, 2
        self.urls = [s.spelled(rng) for s in self.servers]
        self.label = None

    def leaf(self, i, path, asked):
        server, url = self.servers[i], self.urls[i]
        said = None
        if asked:
            down = server.number == DOWN
            said = dict(key=server.state, signatures=not down,
                        seconds=0.01, address=server.address,
                        certificate_expiry='Jan  9 12:00:00 2027 GMT'
                        if server.https else None,
                        error=server_error(server, url, self.device, path)
                        if down else None)
        return pin('tang', path, url=url, kid=server.kid,
                   thumbprint_hash='S256', curve='P-521', preflight=said)

    def tree(self, asked):
        if len(self.servers) == 1 and not self.tpm:
            return self.leaf(0, 'tang', asked)
        children = [self.leaf(i, f'sss[{i}].tang', asked)
                    for i in range(len(self.servers))]
        if self.tpm:
            children.append(pin(
                'tpm2', f'sss[{len(children)}].tpm2',
                parameters={'pcr_ids': '7', 'hash': 'sha256'},
                error=self.tpm_error()))
        return pin('sss', 'sss', threshold=self.threshold, children=children)

    def working(self):
        return sum(s.works() for s in self.servers)

    def opens(self):
        return self.working() >= self.threshold

    def preflight_verdict(self):
        if not self.opens():
            return 'does-not-open'
        if self.working() == self.threshold:
            return 'opens-with-nothing-to-spare'
        return 'opens'

    def failures(self):
        errors = [server_error(s, u, self.device, 'tang')
                  for s, u in zip(self.servers, self.urls) if not s.works()]
        return errors + ([self.tpm_error()] if self.tpm else [])

    def tpm_error(self):
        path = f'sss[{len(self.servers)}].tpm2'
        return error('unsupported', f'{self.device}: token 0: {path}',
                     'this needs the TPM of the guest', token=0, pin=path)

    def status(self, action):
        if action == 'list' or self.opens():
            return 0
        down = all(s.number == DOWN for s in self.servers if not s.works())
        return 4 if down and not self.tpm else 2

    def document(self, action):
        status = self.status(action)
        failed = action in ('keys', 'run') and status != 0
        errors = self.failures() if failed else []
        state = ('untried' if action in ('list', 'preflight')
                 else 'failed' if failed else 'recovered')
        device = dict(
            device=self.device, kind='partition', size=21473787904, bound=True,
            state=state,
            preflight=self.preflight_verdict() if action == 'preflight' else None,
            mapname=None,
            unlocked_by=dict(token=0, keyslot=1, servers=self.urls[:1],
                             seconds=0.05, verify_seconds=0.01)
            if state == 'recovered' else None,
            errors=errors,
            luks=dict(version=2, uuid=self.uuid, label=self.label,
                      cipher='aes-xts-plain64', key_bits=512, sector_size=512,
                      data_offset=16777216, header_file=None, note=None,
                      keyslots=[], tokens=[dict(
                          token=0, type='clevis', keyslots=[1], stale=None,
                          error=None, pin=self.tree(action == 'preflight'))]))
        printed = [dict(message=e['line'], hint=e['hint']) for e in errors]
        option = 'output-keys' if action == 'keys' else action
        return document(option, status, [device], printed)


def document(action, status, devices, errors):
    return dict(version=1, program='virt-nbde-unlock', program_version='0.1.0',
                actions=[action], exit_status=status, looked_from='host',
                reason=None, devices=devices, operating_systems=None,
                filesystems=None, requests=None, errors=errors,
                timings=dict(steps=dict(start=0.01), total=0.03))


VERDICT = {0: 'done', 1: 'error', 2: 'failed', 3: 'unbound', 4: 'unreachable'}


def record(name, action, time, status, doc, **more):
    fields = dict(version=1, name=name, action=action,
                  disks=[dict(path=f'/srv/guests/{name}.qcow2',
                              format='qcow2')],
                  domain=None, started=time, seconds=0.061, tries=1,
                  exit_status=status, signal=None,
                  verdict=VERDICT.get(status, 'error'), command_status=None,
                  errors=[], document=doc)
    fields.update(more)
    return fields


# Guests of which something else is wrong, by the rest of their number.
def odd_record(guest, action, time):
    name, rest = guest.name, guest.number % 50
    if rest == 11:
        line = 'no LUKS device has a Clevis binding'
        return record(name, action, time, 3, document(
            action, 3, [], [dict(message=line, hint=None)]),
            errors=['virt-nbde-unlock: error: ' + line])
    if rest == 23:
        return record(name, action, time, 1, None, errors=[
            f'virt-nbde-unlock: error: /srv/guests/{name}.qcow2: '
            'No such file or directory'])
    if rest == 31:
        return record(name, action, time, None, None, signal=9,
                      verdict='killed', tries=4)
    if rest == 37:
        e = error('header', guest.device, 'damaged LUKS2 header: neither the '
                  'primary nor the secondary one has the right checksum and '
                  'valid metadata', 'If there is a header backup, cryptsetup '
                  'luksHeaderRestore can put it back in a copy of the disk.')
        device = dict(device=guest.device, kind='partition', size=None,
                      bound=None, state='refused', preflight=None, mapname=None,
                      unlocked_by=None, errors=[e], luks=None)
        line = 'no LUKS device that could be read has a Clevis binding'
        return record(name, action, time, 2, document(
            action, 2, [device], [dict(message=line, hint=None)]))
    return None


def write(folder, name, action, content):
    path = os.path.join(folder, 'guests', name)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, action + '.json'), 'w') as f:
        json.dump(content, f)


def time_of(minute):
    return f'2026-11-28T{17 + minute // 60:02}:{minute % 60:02}:30Z'


def make_guest(folder, guest):
    name, number = guest.name, guest.number
    write(folder, name, 'list',
          record(name, 'list', time_of(0), 0, guest.document('list')))
    if number % 50 == 47:                # listed only
        return
    minute = 10 + number % 7
    for action, later in (('preflight', 0), ('keys', 20)):
        if action == 'keys' and number % 3 == 0:
            continue
        time = time_of(minute + later)
        status = guest.status(action)
        write(folder, name, action, odd_record(guest, action, time) or record(
            name, action, time, status, guest.document(action),
            tries=4 if status == 4 else 1))
    if number % 50 == 29 and guest.opens():
        write(folder, name, 'run', record(
            name, 'run', time_of(45), 0, guest.document('run'),
            verdict='command-failed', command_status=1))


def make_hostile(folder, texts, servers, rng):
    for i, text in enumerate(texts):
        guest = Guest(1, f'hostile-{i}', servers, rng)
        guest.device = '/dev/' + text
        guest.label = text
        guest.servers, guest.threshold, guest.tpm = [servers[GONE - 1]], 1, False
        guest.urls = [servers[GONE - 1].url]
        for action in ('list', 'preflight', 'keys'):
            doc = guest.document(action)
            leaf = doc['devices'][0]['luks']['tokens'][0]['pin']
            if i % 2:
                leaf['url'] = 'http://' + text + '/' + text
                leaf['kid'] = text
            doc['errors'] = [dict(message=text, hint=text)]
            write(folder, guest.name, action, record(
                guest.name, action, time_of(20), guest.status(action), doc,
                errors=[text]))
    # What is no record.
    rest = {'empty': '', 'half': '{"version": 1, "name": "half", "act',
            'other': json.dumps(record('web-0001', 'keys', time_of(1), 0, None)),
            'newer': json.dumps({'version': 2}), 'list': '[1, 2]',
            'deep': '[' * 100000, 'utf8': '{"version": 1, "name": "\udcff"}',
            'words': json.dumps(record('words', 'keys', 'today', 0, None))}
    for name, content in rest.items():
        path = os.path.join(folder, 'guests', 'damaged-' + name)
        os.makedirs(path)
        with open(os.path.join(path, 'keys.json'), 'w',
                  errors='surrogateescape') as f:
            f.write(content)
    name = os.path.join(folder, 'guests', 'damaged-fifo')
    os.makedirs(name)
    os.mkfifo(os.path.join(name, 'keys.json'))
    # What is unfinished is nothing.
    os.makedirs(os.path.join(folder, 'guests', '.unfinished'))
    with open(os.path.join(folder, 'guests', 'hostile-0', '.keys.json-x'),
              'w') as f:
        f.write('{')


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--guests', type=int, default=500)
    parser.add_argument('--servers', type=int, default=20)
    parser.add_argument('--hostile', action='store_true')
    parser.add_argument('folder')
    args = parser.parse_args()
    rng = random.Random(13)
    servers = [Server(i + 1) for i in range(args.servers)]
    os.makedirs(os.path.join(args.folder, 'guests'), mode=0o700)
    with open(os.path.join(args.folder, 'fleet.json'), 'w') as f:
        json.dump({'version': 1, 'program': 'virt-nbde-fleet'}, f)
    hostile = len(HOSTILE) if args.hostile else 0
    for number in range(1, args.guests - hostile + 1):
        kind = rng.choice(['web', 'db', 'mail', 'build', 'files', 'app'])
        make_guest(args.folder,
                   Guest(number, f'{kind}-{number:04}', servers, rng))
    if args.hostile:
        make_hostile(args.folder, HOSTILE, servers, rng)


main()
