#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Is a file as the textfile collector of node_exporter takes it?
#
#   check-prometheus.py FILE
#
# Stricter than Prometheus is: each metric has one HELP and one TYPE before its
# samples, which stand together; no sample comes twice, none has a time.  Prints
# what is wrong; or, if nothing is, each sample as NAME{LABELS} VALUE in JSON.

import json
import re
import sys

NAME = r'[a-zA-Z_:][a-zA-Z0-9_:]*'
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(rf'({NAME})(?:\{{({LABEL}(?:,{LABEL})*)\}})? '
                    r'(-?[0-9]+(?:\.[0-9]+)?)')


def check(text):
    if not text.endswith('\n'):
        yield 'the last line has no end'
    seen, metrics, current, kind = set(), set(), None, None
    for number, line in enumerate(text.split('\n')[:-1], 1):
        comment = re.fullmatch(rf'# (HELP|TYPE) (virt_nbde_fleet_{NAME}) (.*)',
                               line)
        if comment:
            what, name, rest = comment.groups()
            if what == 'HELP':
                if name in metrics:
                    yield f'{number}: {name} comes a second time'
                metrics.add(name)
                current, kind = name, None
            elif name != current or rest != 'gauge':
                yield f'{number}: TYPE: {line}'
            else:
                kind = rest
            continue
        sample = SAMPLE.fullmatch(line)
        if not sample:
            yield f'{number}: neither comment nor sample: {line!r}'
            continue
        if sample[1] != current or kind is None:
            yield f'{number}: not among its like: {line!r}'
        if any(ord(c) < 32 for c in line):
            yield f'{number}: a control character'
        labels = dict(re.findall(LABEL, sample[2] or ''))
        key = (sample[1], json.dumps(labels, sort_keys=True))
        if key in seen:
            yield f'{number}: a second time: {line!r}'
        seen.add(key)


def samples(text):
    for line in text.splitlines():
        sample = SAMPLE.fullmatch(line)
        if sample:
            yield {'name': sample[1], 'value': float(sample[sample.lastindex]),
                   'labels': dict(re.findall(LABEL, sample[2] or ''))}


def main():
    with open(sys.argv[1], encoding='utf-8', newline='') as f:
        text = f.read()
    wrong = list(check(text))
    for line in wrong:
        print(line)
    if not wrong:
        json.dump(list(samples(text)), sys.stdout)
    sys.exit(1 if wrong else 0)


main()
