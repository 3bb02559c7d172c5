# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# The table of malformed headers: each has one thing wrong, and says what is
# to be said of it.
#
#   name   of the image
#   base   the good header that is changed: tang, sss, null (LUKS2, one token
#          for keyslot 1 each) or meta (LUKS1, a tang pin in luksmeta)
#   code   of the error, as clevis_code_name has it; or
#            none     not a LUKS device
#            unbound  no binding
#            ok       unlocked: it was malformed in a way that does not matter
#            policy   of tang and sss this means the same, since the test
#                     forbids every server
#   text   that the message contains
#   change what is wrong
#
# The first four show that the good headers are good.

from formats import be, b64, unb64, edit_compact, KIB, Luks1, Luks2

CASES = []


def case(name, base, code, text, change):
    CASES.append((name, base, code, text, change))


def put(place, key, value):
    place[key] = value


def drop(place, key):
    del place[key]


case('good-tang', 'tang', 'policy', 'not asked', lambda h: None)
case('good-sss', 'sss', 'policy', 'not asked', lambda h: None)
case('good-null', 'null', 'ok', '', lambda h: None)
case('good-meta', 'meta', 'policy', 'not asked', lambda h: None)

# The LUKS2 binary headers.

both_damaged = 'damaged LUKS2 header'

case('magic', 'tang', 'policy', '', lambda h: h.first(h.MAGIC, b'X'))
case('magic-both', 'tang', 'none', '', lambda h: h.both(h.MAGIC, b'X'))
case('magic-swapped', 'tang', 'none', '',
     lambda h: (h.first(h.MAGIC, b'SKUL'), h.second(h.MAGIC, b'LUKS')))
case('version', 'tang', 'policy', '', lambda h: h.first(h.VERSION, be(3, 2)))
case('version-both', 'tang', 'none', '',
     lambda h: h.both(h.VERSION, be(3, 2)))
case('version-1', 'tang', 'header', 'damaged LUKS1 header',
     lambda h: h.both(h.VERSION, be(1, 2)))
for n, size in (('0', 0), ('odd', 16 * KIB + 1), ('12k', 12 * KIB),
                ('8m', 8192 * KIB), ('huge', 2 ** 64 - 4096)):
    case('size-' + n, 'tang', 'policy', '',
         lambda h, s=size: h.first(h.SIZE, be(s, 8)))
    case('size-%s-both' % n, 'tang', 'none', '',
         lambda h, s=size: h.both(h.SIZE, be(s, 8)))
case('size-other', 'tang', 'policy', '',
     lambda h: h.first(h.SIZE, be(32 * KIB, 8)))
case('size-other-both', 'tang', 'header', both_damaged,
     lambda h: h.both(h.SIZE, be(32 * KIB, 8)))
case('size-4m-both', 'tang', 'header', both_damaged,
     lambda h: h.both(h.SIZE, be(4096 * KIB, 8)))
case('seqid-0', 'tang', 'policy', '',
     lambda h: h.both(h.SEQID, be(0, 8)))
case('seqid-differs', 'tang', 'policy', '',
     lambda h: h.second(h.SEQID, be(2 ** 64 - 1, 8)))
case('checksum', 'tang', 'policy', '',
     lambda h: (put(h.fix, 0, False), h.first(h.CSUM, b'XXXX')))
case('checksum-both', 'tang', 'header', both_damaged,
     lambda h: (put(h.fix, 0, False), put(h.fix, 1, False),
                h.both(h.CSUM, b'XXXX')))
case('checksum-algorithm', 'tang', 'header', both_damaged,
     lambda h: h.both(h.CSUM_ALG, b'snake\0'))
case('checksum-algorithm-unterminated', 'tang', 'header', both_damaged,
     lambda h: h.both(h.CSUM_ALG, b'A' * 32))
case('offset-second', 'tang', 'policy', '',
     lambda h: h.second(h.OFFSET, be(0, 8)))
case('offset-both', 'tang', 'header', both_damaged,
     lambda h: h.both(h.OFFSET, be(4096, 8)))
case('uuid-unterminated', 'tang', 'policy', '',
     lambda h: h.both(h.UUID, b'u' * 40))
case('label-unterminated', 'tang', 'policy', '',
     lambda h: h.both(h.LABEL, b'l' * 48))

# The JSON document.

case('json-empty', 'tang', 'header', both_damaged,
     lambda h: h.both_text(b''))
case('json-array', 'tang', 'header', both_damaged,
     lambda h: h.both_text(b'[]'))
case('json-cut-off', 'tang', 'header', both_damaged,
     lambda h: h.both_text(b'{"keyslots":{'))
case('json-full', 'tang', 'header', both_damaged,
     lambda h: h.both_text(b'"' * 12 * KIB))
case('json-deep', 'tang', 'header', both_damaged,
     lambda h: h.both_text(b'{"a":' * 2000 + b'1' + b'}' * 2000))
case('json-deep-token', 'tang', 'header', both_damaged,
     lambda h: put(h.token(), 'x', nest(200)))
case('json-not-utf8', 'tang', 'header', both_damaged,
     lambda h: h.both_text(b'{"keyslots":{},"x":"\xff\xfe"}'))
for part in ('keyslots', 'tokens', 'segments', 'digests', 'config'):
    case('json-without-' + part, 'tang', 'header', both_damaged,
         lambda h, p=part: drop(h.json, p))
    case('json-%s-array' % part, 'tang', 'header', both_damaged,
         lambda h, p=part: put(h.json, p, []))


def nest(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def area(h):
    return h.keyslot()['area']


def config(h):
    return h.json['config']


for n, size in (('0', '0'), ('odd', '12345'), ('huge', str(2 ** 63)),
                ('negative', '-4096'), ('number', 12288), ('text', 'x'),
                ('large', str(256 * KIB * KIB))):
    case('json-size-' + n, 'tang', 'header', both_damaged,
         lambda h, s=size: put(config(h), 'json_size', s))
for n, size in (('odd', '262145'), ('huge', str(2 ** 63)),
                ('small', '4096'), ('number', 262144), ('text', 'x')):
    case('keyslots-size-' + n, 'tang', 'header', both_damaged,
         lambda h, s=size: put(config(h), 'keyslots_size', s))

for n, offset in (('0', '0'), ('metadata', '16384'), ('odd', '32769'),
                  ('outside', str(64 * KIB * KIB)), ('huge', str(2 ** 64 - 1)),
                  ('beyond', str(2 ** 70)), ('negative', '-1'),
                  ('number', 32768), ('text', 'x'), ('empty', ''),
                  ('overlap', '32768')):
    case('area-offset-' + n, 'tang', 'header', both_damaged,
         lambda h, o=offset: put(area(h), 'offset', o))
for n, size in (('0', '0'), ('huge', str(2 ** 63)),
                ('overflow', str(2 ** 64 - 4096)), ('large', '67108864'),
                ('number', 131072)):
    case('area-size-' + n, 'tang', 'header', both_damaged,
         lambda h, s=size: put(area(h), 'size', s))
case('area-size-small', 'null', 'passphrase', '',
     lambda h: put(area(h), 'size', '4096'))
case('area-missing', 'tang', 'header', both_damaged,
     lambda h: drop(h.keyslot(), 'area'))
case('area-type', 'tang', 'header', both_damaged,
     lambda h: put(area(h), 'type', 'snake-oil'))
case('area-key-size', 'tang', 'header', both_damaged,
     lambda h: put(area(h), 'key_size', 'x'))
case('area-null-cipher', 'null', 'header', 'stored in clear',
     lambda h: put(area(h), 'encryption', 'cipher_null-ecb'))

case('keyslot-type', 'tang', 'token', 'stale',
     lambda h: put(h.keyslot(), 'type', 'snake-oil'))
case('keyslot-key-size-text', 'tang', 'header', both_damaged,
     lambda h: put(h.keyslot(), 'key_size', 'x'))
case('keyslot-key-size-huge', 'null', 'limit', 'its key is not',
     lambda h: put(h.keyslot(), 'key_size', 4294967295))
case('keyslot-key-size-0', 'null', 'limit', 'its key is not',
     lambda h: put(h.keyslot(), 'key_size', 0))
case('keyslot-key-size-other', 'null', 'passphrase', '',
     lambda h: put(h.keyslot(), 'key_size', 64))
case('keyslot-without-kdf', 'tang', 'header', both_damaged,
     lambda h: drop(h.keyslot(), 'kdf'))
case('keyslot-kdf-type', 'null', 'header', '',
     lambda h: put(h.keyslot()['kdf'], 'type', 'snake-oil'))
case('keyslot-kdf-hash', 'null', 'header', '',
     lambda h: put(h.keyslot()['kdf'], 'hash', 'snake-oil'))
case('keyslot-kdf-salt', 'null', 'header', '',
     lambda h: put(h.keyslot()['kdf'], 'salt', '!!!!'))
case('keyslot-kdf-iterations-0', 'null', 'header', '',
     lambda h: put(h.keyslot()['kdf'], 'iterations', 0))
case('keyslot-kdf-iterations-huge', 'null', 'limit', 'iterations costs more',
     lambda h: put(h.keyslot()['kdf'], 'iterations', 4294967295))
case('keyslot-kdf-iterations-beyond', 'null', 'limit', 'iterations costs more',
     lambda h: put(h.keyslot()['kdf'], 'iterations', 2 ** 40))
case('keyslot-kdf-memory', 'null', 'limit', 'KiB of memory, more than',
     lambda h: put(h.keyslot(), 'kdf', argon2(1, 4294967295)))
case('keyslot-kdf-time', 'null', 'limit', 'passes costs more',
     lambda h: put(h.keyslot(), 'kdf', argon2(4294967295, 1024)))
case('keyslot-kdf-memory-0', 'null', 'header', '',
     lambda h: put(h.keyslot(), 'kdf', argon2(1, 0)))
case('keyslot-without-af', 'tang', 'header', both_damaged,
     lambda h: drop(h.keyslot(), 'af'))
case('keyslot-af-stripes-0', 'null', 'ok', '',
     lambda h: put(h.keyslot()['af'], 'stripes', 0))
case('keyslot-af-stripes-huge', 'null', 'ok', '',
     lambda h: put(h.keyslot()['af'], 'stripes', 4294967295))
case('keyslot-af-hash', 'null', 'header', '',
     lambda h: put(h.keyslot()['af'], 'hash', 'snake-oil'))
case('keyslot-priority', 'null', 'ok', '',
     lambda h: put(h.keyslot(), 'priority', 7))
case('keyslot-priority-text', 'null', 'ok', '',
     lambda h: put(h.keyslot(), 'priority', 'prefer'))
for name in ('x', '32', '-1', '01', ''):
    case('keyslot-name-' + (name or 'empty'), 'tang', 'header', both_damaged,
         lambda h, n=name: put(h.json['keyslots'], n, h.keyslot()))


def argon2(time, memory):
    return {'type': 'argon2id', 'time': time, 'memory': memory, 'cpus': 1,
            'salt': b64(bytes(32)).replace('_', '/') + '='}


def digest(h):
    return h.json['digests']['0']


case('digest-without-keyslot', 'null', 'header', both_damaged,
     lambda h: digest(h)['keyslots'].remove('1'))
case('digest-unknown-keyslot', 'tang', 'header', both_damaged,
     lambda h: put(digest(h), 'keyslots', ['0', '1', '9']))
case('digest-unknown-segment', 'tang', 'header', both_damaged,
     lambda h: put(digest(h), 'segments', ['0', '9']))
case('digest-without-segment', 'null', 'header', '',
     lambda h: put(digest(h), 'segments', []))
case('digest-iterations-huge', 'null', 'limit', 'a digest with',
     lambda h: put(digest(h), 'iterations', 4294967295))
case('digest-salt', 'null', 'header', '',
     lambda h: put(digest(h), 'salt', '!!!!'))
case('digest-value', 'null', 'passphrase', 'not accept',
     lambda h: put(digest(h), 'digest', b64(bytes(32)) + '='))


def segment(h):
    return h.json['segments']['0']


case('segment-0-missing', 'tang', 'header', '',
     lambda h: (put(h.json['segments'], '1', segment(h)),
                drop(h.json['segments'], '0'),
                put(digest(h), 'segments', ['1'])))
case('segments-none', 'tang', 'header', both_damaged,
     lambda h: (put(h.json, 'segments', {}), put(digest(h), 'segments', [])))
for n, offset in (('odd', '12345'), ('number', 524288), ('text', 'x'),
                  ('huge', str(2 ** 70)), ('in-header', '4096')):
    case('segment-offset-' + n, 'tang', 'header', both_damaged,
         lambda h, o=offset: put(segment(h), 'offset', o))
case('segment-type', 'null', 'ok', '',
     lambda h: put(segment(h), 'type', 'snake-oil'))
case('segment-sector-size', 'tang', 'header', both_damaged,
     lambda h: put(segment(h), 'sector_size', 1000))
case('segment-without-cipher', 'tang', 'header', both_damaged,
     lambda h: drop(segment(h), 'encryption'))
case('segment-null-cipher', 'tang', 'header', 'encrypts nothing',
     lambda h: put(segment(h), 'encryption', 'cipher_null-ecb'))
case('requirement', 'tang', 'header', 'requirement "snake-oil"',
     lambda h: put(config(h), 'requirements', {'mandatory': ['snake-oil']}))
case('requirement-array', 'tang', 'header', both_damaged,
     lambda h: put(config(h), 'requirements', ['snake-oil']))
case('requirement-number', 'tang', 'header', both_damaged,
     lambda h: put(config(h), 'requirements', {'mandatory': [7]}))

# Tokens.

case('token-without-type', 'tang', 'header', both_damaged,
     lambda h: drop(h.token(), 'type'))
case('token-type-number', 'tang', 'header', both_damaged,
     lambda h: put(h.token(), 'type', 7))
case('token-type-other', 'tang', 'unbound', '',
     lambda h: put(h.token(), 'type', 'Clevis'))
case('token-type-path', 'tang', 'unbound', '',
     lambda h: put(h.token(), 'type', '../../../../tmp/x'))
case('token-without-keyslots', 'tang', 'header', both_damaged,
     lambda h: drop(h.token(), 'keyslots'))
case('token-keyslots-text', 'tang', 'header', both_damaged,
     lambda h: put(h.token(), 'keyslots', '1'))
case('token-keyslots-numbers', 'tang', 'header', both_damaged,
     lambda h: put(h.token(), 'keyslots', [1]))
case('token-keyslots-none', 'tang', 'token', 'no keyslot is assigned',
     lambda h: put(h.token(), 'keyslots', []))
for slot in ('9', 'x', '-1', '32', '99999999999999999999'):
    case('token-keyslot-' + slot, 'tang', 'header', both_damaged,
         lambda h, s=slot: put(h.token(), 'keyslots', [s]))
case('token-keyslot-repeated', 'tang', 'limit', '33 keyslots',
     lambda h: put(h.token(), 'keyslots', ['1'] * 33))
case('tokens-33', 'tang', 'token', 'five parts',
     lambda h: put(h.json, 'tokens', {str(i): small_token()
                                      for i in range(33)}))
case('token-name', 'tang', 'header', both_damaged,
     lambda h: put(h.json['tokens'], 'x', small_token()))
case('token-is-array', 'tang', 'header', both_damaged,
     lambda h: put(h.json['tokens'], '0', []))


def small_token():
    return {'type': 'clevis', 'keyslots': [], 'jwe': ''}


# JWEs.

case('jwe-missing', 'tang', 'token', 'no JWE', lambda h: drop(h.token(), 'jwe'))
for n, value in (('null', None), ('number', 7), ('array', []), ('true', True)):
    case('jwe-' + n, 'tang', 'token', 'neither text nor an object',
         lambda h, v=value: put(h.token(), 'jwe', v))
case('jwe-empty', 'tang', 'token', 'protected header',
     lambda h: put(h.token(), 'jwe', {}))
for n, text in (('empty', ''), ('4-parts', 'e30.a.b.c'),
                ('6-parts', 'e30.a.b.c.d.e')):
    case('jwe-text-' + n, 'tang', 'token', 'five parts',
         lambda h, t=text: put(h.token(), 'jwe', t))
for member in ('protected', 'iv', 'ciphertext', 'tag'):
    case('jwe-%s-number' % member, 'tang', 'token', 'should be text',
         lambda h, m=member: put(h.jwe(), m, 7))
case('jwe-without-protected', 'tang', 'token', 'protected header',
     lambda h: drop(h.jwe(), 'protected'))
case('jwe-protected-not-base64', 'tang', 'token', 'protected header',
     lambda h: put(h.jwe(), 'protected', '!!!!'))
case('jwe-protected-cut-off', 'tang', 'token', 'protected header',
     lambda h: put(h.jwe(), 'protected', h.jwe()['protected'][:100]))
case('jwe-protected-array', 'tang', 'token', 'protected header',
     lambda h: put(h.jwe(), 'protected', b64(b'[]')))
case('jwe-protected-deep', 'tang', 'token', 'protected header',
     lambda h: put(h.jwe(), 'protected', b64(b'[' * 3000)))
for member in ('iv', 'tag'):
    case('jwe-without-' + member, 'tang', 'token', 'A256GCM needs',
         lambda h, m=member: drop(h.jwe(), m))
    case('jwe-%s-cut-off' % member, 'tang', 'token', 'A256GCM needs',
         lambda h, m=member: put(h.jwe(), m, h.jwe()[m][:-4]))
case('jwe-without-ciphertext', 'tang', 'token', 'ciphertext',
     lambda h: drop(h.jwe(), 'ciphertext'))
case('jwe-ciphertext-length', 'tang', 'token', 'ciphertext',
     lambda h: put(h.jwe(), 'ciphertext', 'AAAAA'))
case('jwe-ciphertext-changed', 'null', 'decrypt', 'does not decrypt',
     lambda h: put(h.jwe(), 'ciphertext', 'AAAA' + h.jwe()['ciphertext'][4:]))
case('jwe-ciphertext-not-base64', 'null', 'decrypt', 'does not decrypt',
     lambda h: put(h.jwe(), 'ciphertext', '!!!!' + h.jwe()['ciphertext'][4:]))
case('jwe-ciphertext-empty', 'null', 'decrypt', 'does not decrypt',
     lambda h: put(h.jwe(), 'ciphertext', ''))
case('jwe-tag-changed', 'null', 'decrypt', 'does not decrypt',
     lambda h: put(h.jwe(), 'tag', b64(bytes(16))))
case('jwe-encrypted-key', 'tang', 'token', 'encrypted_key',
     lambda h: put(h.jwe(), 'encrypted_key', 'AAAA'))
case('jwe-two-recipients', 'tang', 'token', 'exactly one recipient',
     lambda h: put(h.jwe(), 'recipients', [{}, {}]))
case('jwe-unprotected-replaces', 'tang', 'token', 'two headers',
     lambda h: put(h.jwe(), 'unprotected', {'alg': 'dir'}))
case('jwe-header-replaces', 'tang', 'token', 'two headers',
     lambda h: put(h.jwe(), 'header', {'clevis': {}}))
for n, alg in (('dir', 'dir'), ('pbes2', 'PBES2-HS256+A128KW'),
               ('kw', 'ECDH-ES+A256KW'), ('number', 7)):
    case('jwe-alg-' + n, 'tang', 'token', 'where this pin has "ECDH-ES"',
         lambda h, a=alg: h.header(lambda p: put(p, 'alg', a)))
case('jwe-enc', 'tang', 'token', 'where Clevis has "A256GCM"',
     lambda h: h.header(lambda p: put(p, 'enc', 'A128CBC-HS256')))
for name in ('zip', 'p2c', 'p2s', 'crit'):
    case('jwe-' + name, 'tang', 'token', '"%s" is refused' % name,
         lambda h, n=name: h.header(lambda p: put(p, n, 'DEF')))
case('jwe-without-clevis', 'tang', 'token', 'does not name a Clevis pin',
     lambda h: h.header(lambda p: drop(p, 'clevis')))
case('jwe-pin-number', 'tang', 'token', 'does not name a Clevis pin',
     lambda h: h.header(lambda p: put(p['clevis'], 'pin', 7)))
case('jwe-pin-unknown', 'tang', 'unsupported', 'not known',
     lambda h: h.header(lambda p: put(p['clevis'], 'pin', 'snake-oil')))
case('jwe-pin-long', 'tang', 'limit', 'more than 64 bytes',
     lambda h: h.header(lambda p: put(p['clevis'], 'pin', 'x' * 65)))
case('jwe-pin-control', 'tang', 'unsupported', 'not known',
     lambda h: h.header(lambda p: put(p['clevis'], 'pin', '\x1b[2J\n')))
case('jwe-without-configuration', 'tang', 'token', 'no url',
     lambda h: h.header(lambda p: drop(p['clevis'], 'tang')))

# The tang pin.

case('tang-without-url', 'tang', 'token', 'no url',
     lambda h: h.pin(lambda c: drop(c, 'url')))
for n, url, code, text in (
        ('number', 7, 'token', 'no url'),
        ('empty', '', 'token', 'malformed'),
        ('file', 'file:///etc/passwd', 'policy', 'only http and https'),
        ('gopher', 'gopher://h:70/_x', 'policy', 'only http and https'),
        ('user', 'http://user:pass@h', 'token', 'user name'),
        ('query', 'http://h/?x', 'token', 'query'),
        ('newline', 'http://h/\r\nX: y', 'token', 'malformed'),
        ('long', 'http://h/' + 'a' * 2048, 'limit', 'longer than 2048'),
        ('port', 'http://h:99999', 'token', 'malformed'),
        ('loopback', 'http://2130706433', 'policy', 'loopback'),
        ('metadata', 'http://169.254.169.254', 'policy', 'link-local'),
        ('nul', 'http://h\0.example.com', 'token', '')):
    case('tang-url-' + n, 'tang', code, text,
         lambda h, u=url: h.pin(lambda c: put(c, 'url', u)))
case('tang-without-kid', 'tang', 'token', 'no kid',
     lambda h: h.header(lambda p: drop(p, 'kid')))
case('tang-kid-short', 'tang', 'token', 'no kid',
     lambda h: h.header(lambda p: put(p, 'kid', 'x')))
case('tang-kid-number', 'tang', 'token', 'no kid',
     lambda h: h.header(lambda p: put(p, 'kid', 7)))
case('tang-kid-other', 'tang', 'token', 'no key with the thumbprint',
     lambda h: h.header(lambda p: put(p, 'kid', 'A' * 43)))
case('tang-kid-path', 'tang', 'token', 'no key with the thumbprint',
     lambda h: h.header(lambda p: put(p, 'kid', '../' * 14 + 'x')))
case('tang-without-adv', 'tang', 'token', 'no advertisement',
     lambda h: h.pin(lambda c: drop(c, 'adv')))
case('tang-adv-text', 'tang', 'token', 'no advertisement',
     lambda h: h.pin(lambda c: put(c, 'adv', 'x')))
case('tang-adv-without-keys', 'tang', 'token', 'no advertisement',
     lambda h: h.pin(lambda c: put(c, 'adv', {})))
case('tang-adv-empty', 'tang', 'token', 'no key with the thumbprint',
     lambda h: h.pin(lambda c: put(c['adv'], 'keys', [])))
case('tang-adv-many', 'tang', 'limit', 'more than 64 keys',
     lambda h: h.pin(lambda c: put(c['adv'], 'keys',
                                   c['adv']['keys'] + [{}] * 64)))
case('tang-adv-odd-keys', 'tang', 'token', 'no key with the thumbprint',
     lambda h: h.pin(lambda c: put(c['adv'], 'keys',
                                   [7, None, [], 'x', {'kty': 'EC'}])))


def exchange_key(c):
    for key in c['adv']['keys']:
        if 'deriveKey' in key['key_ops']:
            return key
    raise ValueError('no exchange key')


case('tang-key-not-for-exchange', 'tang', 'token', 'not an exchange key',
     lambda h: h.pin(lambda c: put(exchange_key(c), 'key_ops', ['verify'])))
case('tang-key-without-purpose', 'tang', 'token', 'not an exchange key',
     lambda h: h.pin(lambda c: drop(exchange_key(c), 'key_ops')))
case('tang-key-coordinate', 'tang', 'token', '',
     lambda h: h.pin(lambda c: put(exchange_key(c), 'x', 'AAAA')))
case('tang-without-epk', 'tang', 'token', 'epk is not a key',
     lambda h: h.header(lambda p: drop(p, 'epk')))
case('tang-epk-text', 'tang', 'token', 'epk is not a key',
     lambda h: h.header(lambda p: put(p, 'epk', 'x')))
case('tang-epk-curve', 'tang', 'token', 'epk is not a key',
     lambda h: h.header(lambda p: put(p['epk'], 'crv', 'P-192')))
case('tang-epk-other-curve', 'tang', 'token', 'epk is on curve P-384',
     lambda h: h.header(lambda p: put(p, 'epk', {
         'kty': 'EC', 'crv': 'P-384', 'x': b64(bytes(48)),
         'y': b64(bytes(48))})))
case('tang-epk-short', 'tang', 'token', 'epk has no coordinates',
     lambda h: h.header(lambda p: put(p['epk'], 'y', b64(bytes(31)))))
case('tang-epk-off-curve', 'tang', 'token', 'not a point of its curve',
     lambda h: h.header(lambda p: put(p['epk'], 'y', b64(bytes(32)))))
case('tang-epk-beyond-field', 'tang', 'token', 'not a point of its curve',
     lambda h: h.header(lambda p: put(p['epk'], 'x', b64(b'\xff' * 32))))

# The sss pin.  Two of its three children are needed.

for n, t in (('0', 0), ('negative', -1), ('4', 4), ('huge', 2 ** 32 + 1),
             ('text', '2'), ('fraction', 1.5)):
    case('sss-t-' + n, 'sss', 'token', 'threshold',
         lambda h, v=t: h.pin(lambda c: put(c, 't', v)))
case('sss-without-t', 'sss', 'token', 'threshold',
     lambda h: h.pin(lambda c: drop(c, 't')))
for n, p, text in (
        ('number', 7, 'p is not a number'),
        ('empty', '', 'p is not a number'),
        ('not-base64', '!' * 43, 'p is not a number'),
        ('0', b64(b'\0'), 'odd prime'),
        ('1', b64(b'\1'), 'odd prime'),
        ('2', b64(b'\2'), 'odd prime'),
        ('even', b64(b'\xff' * 31 + b'\xfe'), 'odd prime'),
        ('composite', b64(b'\xff' * 32), 'odd prime'),
        ('padded', b64(b'\0\xfb'), 'odd prime'),
        ('large', b64(b'\xff' * 67), 'p is not a number')):
    case('sss-p-' + n, 'sss', 'token', text,
         lambda h, v=p: h.pin(lambda c: put(c, 'p', v)))
case('sss-without-p', 'sss', 'token', 'p is not a number',
     lambda h: h.pin(lambda c: drop(c, 'p')))
case('sss-without-jwe', 'sss', 'token', '0 pins',
     lambda h: h.pin(lambda c: drop(c, 'jwe')))
case('sss-jwe-text', 'sss', 'token', '0 pins',
     lambda h: h.pin(lambda c: put(c, 'jwe', 'x')))
case('sss-many', 'sss', 'limit', '65 pins',
     lambda h: h.pin(lambda c: put(c, 'jwe', ['x'] * 65)))
case('sss-child-number', 'sss', 'token', 'neither text nor an object',
     lambda h: h.pin(lambda c: put(c['jwe'], 0, 7)))
case('sss-child-cut-off', 'sss', 'token', 'five parts',
     lambda h: h.pin(lambda c: put(c['jwe'], 0, c['jwe'][0][:50])))
case('sss-child-alg', 'sss', 'token', 'where this pin has "ECDH-ES"',
     lambda h: h.child(0, lambda p: put(p, 'alg', 'dir')))
case('sss-child-url', 'sss', 'policy', 'only http and https',
     lambda h: h.child(0, lambda p: put(p['clevis']['tang'], 'url',
                                        'file:///etc/passwd')))
case('sss-alg', 'sss', 'token', 'where this pin has "dir"',
     lambda h: h.header(lambda p: put(p, 'alg', 'ECDH-ES')))


def deeper(h, levels):
    """Put the token's sss pin into others of its kind."""
    def edit(header):
        for _ in range(levels):
            inner = encode_compact(header)
            outer = {'alg': 'dir', 'enc': 'A256GCM', 'clevis': {
                'pin': 'sss', 'sss': {
                    't': 1, 'p': header['clevis']['sss']['p'],
                    'jwe': [inner]}}}
            header.clear()
            header.update(outer)
    h.header(edit)


def encode_compact(header):
    from formats import encode_header
    return '%s..%s.AAAA.%s' % (encode_header(header), b64(bytes(12)),
                               b64(bytes(16)))


case('sss-deep', 'deep', 'limit', 'deeper than 8',
     lambda h: deeper(h, 8))


def wide(h, n):
    """An sss pin over sss pins with 64 broken children each."""
    def edit(header):
        p = header['clevis']['sss']['p']
        child = {'alg': 'dir', 'enc': 'A256GCM', 'clevis': {
            'pin': 'sss', 'sss': {'t': 1, 'p': p, 'jwe': ['x'] * 64}}}
        header['clevis']['sss'] = {'t': 1, 'p': p,
                                   'jwe': [encode_compact(child)] * n}
    h.header(edit)


case('sss-wide', 'deep', 'limit', 'more than 256 pins',
     lambda h: wide(h, 5))

# The null pin.

case('null-without-jwk', 'null', 'token', 'holds no key',
     lambda h: h.pin(lambda c: drop(c, 'jwk')))
case('null-key-short', 'null', 'token', 'holds no key',
     lambda h: h.pin(lambda c: put(c['jwk'], 'k', 'AAAA')))
case('null-key-number', 'null', 'token', 'holds no key',
     lambda h: h.pin(lambda c: put(c['jwk'], 'k', 7)))
case('null-key-other', 'null', 'decrypt', 'does not decrypt',
     lambda h: h.pin(lambda c: put(c['jwk'], 'k', b64(bytes(32)))))

# The LUKS1 header.

both_luks1 = 'damaged LUKS1 header'

case('luks1-version', 'meta', 'none', '',
     lambda h: h.put(h.VERSION, be(0, 2)))
case('luks1-cipher-unterminated', 'meta', 'policy', '',
     lambda h: h.put(h.CIPHER, b'a' * 32))
case('luks1-mode-unterminated', 'meta', 'policy', '',
     lambda h: h.put(h.MODE, b'x' * 32))
case('luks1-hash-unterminated', 'meta', 'header', both_luks1,
     lambda h: h.put(h.HASH, b's' * 32))
case('luks1-hash', 'meta', 'header', both_luks1,
     lambda h: h.put(h.HASH, b'snake\0'))
case('luks1-null-cipher', 'meta', 'header', 'encrypts nothing',
     lambda h: h.put(h.CIPHER, b'cipher_null\0'))
case('luks1-payload-small', 'meta', 'header', '',
     lambda h: h.put(h.PAYLOAD, be(1, 4)))
case('luks1-payload-huge', 'meta', 'limit', 'larger than the limit',
     lambda h: (h.put(h.PAYLOAD, be(2 ** 32 - 1, 4)),
                h.data.extend(bytes(16 * KIB * KIB))))
case('luks1-key-bytes-0', 'meta', 'header', both_luks1,
     lambda h: h.put(h.KEY_BYTES, be(0, 4)))
case('luks1-key-bytes-huge', 'meta', 'header', both_luks1,
     lambda h: h.put(h.KEY_BYTES, be(2 ** 32 - 1, 4)))
case('luks1-keyslot-state', 'meta', 'token', 'stale',
     lambda h: h.put(h.keyslot(1), be(0xdead, 4)))
case('luks1-keyslot-state-odd', 'meta', 'token', 'stale',
     lambda h: h.put(h.keyslot(1), be(0x12345678, 4)))
case('luks1-material-in-header', 'meta', 'header', both_luks1,
     lambda h: h.put(h.keyslot(1) + 40, be(0, 4)))
case('luks1-material-huge', 'meta', 'header', both_luks1,
     lambda h: h.put(h.keyslot(1) + 40, be(2 ** 32 - 1, 4)))
case('luks1-material-overlap', 'meta', 'header', both_luks1,
     lambda h: h.put(h.keyslot(1) + 40, h.data[h.keyslot(0) + 40:
                                               h.keyslot(0) + 44]))
case('luks1-stripes-0', 'meta', 'header', both_luks1,
     lambda h: h.put(h.keyslot(1) + 44, be(0, 4)))
case('luks1-stripes-huge', 'meta', 'header', both_luks1,
     lambda h: h.put(h.keyslot(1) + 44, be(2 ** 32 - 1, 4)))
case('luks1-uuid-unterminated', 'meta', 'policy', '',
     lambda h: h.put(h.UUID, b'u' * 40))
case('luks1-cut-off', 'meta', 'unbound', '',
     lambda h: put_attribute(h, 'cut', h.meta))
case('luks1-cut-off-in-keys', 'meta', 'header', '',
     lambda h: put_attribute(h, 'cut', 8 * KIB))


def put_attribute(h, name, value):
    setattr(h, name, value)


# luksmeta.

damaged = 'luksmeta header is damaged'

case('meta-magic', 'meta', 'unbound', '',
     lambda h: h.put_meta(0, b'X'))
case('meta-version', 'meta', 'unbound', damaged,
     lambda h: h.put_meta(h.META_VERSION, be(2, 4)))
case('meta-crc', 'meta', 'unbound', damaged,
     lambda h: (put_attribute(h, 'fix', False),
                h.put_meta(h.META_CRC, b'XXXX')))
case('meta-slot-uuid', 'meta', 'unbound', '',
     lambda h: h.put_slot(h.SLOT_UUID, b'X' * 16))
for n, offset in (('odd', 12345), ('payload', 2048 * KIB),
                  ('huge', 2 ** 32 - 4096), ('largest', 2 ** 32 - 1)):
    case('meta-slot-offset-' + n, 'meta', 'token', 'luksmeta slot',
         lambda h, o=offset: h.put_slot(h.SLOT_OFFSET, be(o, 4)))
case('meta-slot-offset-0', 'meta', 'unbound', damaged,
     lambda h: h.put_slot(h.SLOT_OFFSET, be(0, 4)))
for n, length in (('1', 1), ('larger', 4097)):
    case('meta-slot-length-' + n, 'meta', 'token', 'luksmeta slot',
         lambda h, v=length: h.put_slot(h.SLOT_LENGTH, be(v, 4)))
for n, length in (('huge', 2 ** 31 - 1), ('largest', 2 ** 32 - 1),
                  ('negative', 2 ** 31)):
    case('meta-slot-length-' + n, 'meta', 'unbound', damaged,
         lambda h, v=length: h.put_slot(h.SLOT_LENGTH, be(v, 4)))
case('meta-slot-crc', 'meta', 'token', 'luksmeta slot',
     lambda h: h.put_slot(h.SLOT_CRC, b'XXXX'))
case('meta-jwe-empty', 'meta', 'token', '',
     lambda h: h.set_jwe(b'\n'))
case('meta-jwe-text', 'meta', 'token', 'five parts',
     lambda h: h.set_jwe(b'not a JWE'))
case('meta-jwe-not-utf8', 'meta', 'token', 'does not hold a JWE',
     lambda h: h.set_jwe(b'\xff\xfe\xfd'))
case('meta-jwe-nul', 'meta', 'token', 'five parts',
     lambda h: h.set_jwe(b'e30.\0.x.y.z'))
case('meta-jwe-object', 'meta', 'token', 'five parts',
     lambda h: h.set_jwe(b'{"protected":"e30"}'))
case('meta-jwe-kid', 'meta', 'token', 'no kid',
     lambda h: h.set_jwe(edit_compact(
         h.jwe().decode(), lambda p: put(p, 'kid', 'x')).encode()))
