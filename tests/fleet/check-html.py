#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-or-later
# Copyright (C) 2026 The virt-nbde-unlock authors
#
# Is an HTML page whole, and does it load nothing?
#
#   check-html.py FILE
#
# Only elements and attributes that the report has may be in it, so nothing that a
# disk says has become markup; each tag that is opened is closed; each link leads to
# a place of the page; no id comes twice.  Prints what is wrong, or the text of the
# page.

import html.parser
import re
import sys

VOID = {'meta', 'br', 'use', 'path'}
ELEMENTS = VOID | set('''html head title style body a svg symbol header p h1 h2 h3
    dl dt dd main nav ul ol li div section strong span i table caption thead tbody
    tr th td details summary footer'''.split())
ATTRIBUTES = set('''lang charset http-equiv content name class href id tabindex
    aria-hidden aria-label aria-labelledby viewbox d role scope style open
    data-label width height'''.split())


class Page(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.wrong = [], []
        self.ids, self.links, self.text = [], [], []
        self.meta = {}

    def handle_starttag(self, tag, attributes):
        if tag not in ELEMENTS:
            self.wrong.append(f'element {tag}')
        for name, value in attributes:
            if name not in ATTRIBUTES:
                self.wrong.append(f'attribute {name} of {tag}')
            if name == 'id':
                self.ids.append(value)
            if name == 'href':
                self.links.append(value)
            if name == 'style' and not re.fullmatch('flex-grow:[0-9]+', value):
                self.wrong.append(f'style {value}')
        if tag == 'meta':
            fields = dict(attributes)
            self.meta[fields.get('http-equiv')] = fields.get('content')
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f'</{tag}> closes nothing')

    def handle_data(self, data):
        if self.open and self.open[-1] == 'style':
            if re.search(r'url\(|@import|expression|<', data):
                self.wrong.append('the style sheet loads something')
        elif self.open:
            self.text.append(data)
        elif data.strip():
            self.wrong.append(f'text outside: {data!r}')

    def handle_comment(self, data):
        self.wrong.append(f'comment {data!r}')

    def finish(self):
        self.close()
        if self.open:
            self.wrong.append(f'not closed: {self.open}')
        for link in self.links:
            if link[:1] != '#' or link[1:] not in self.ids:
                self.wrong.append(f'link to {link}')
        if len(set(self.ids)) != len(self.ids):
            self.wrong.append('an id comes twice')
        policy = self.meta.get('Content-Security-Policy')
        if policy != "default-src 'none'; style-src 'unsafe-inline'":
            self.wrong.append(f'policy {policy}')
        text = ''.join(self.text)
        for c in text:
            if c != '\n' and (ord(c) < 32 or 0x7f <= ord(c) < 0xa0 or
                              0x200b <= ord(c) <= 0x200f or
                              0x2028 <= ord(c) <= 0x202e or
                              0x2060 <= ord(c) <= 0x206f):
                self.wrong.append(f'character {ord(c):x}')
        return text


def main():
    page = Page()
    with open(sys.argv[1], encoding='utf-8', newline='') as f:
        page.feed(f.read())
    text = page.finish()
    print('\n'.join(sorted(set(page.wrong))) if page.wrong else text)
    sys.exit(1 if page.wrong else 0)


main()
