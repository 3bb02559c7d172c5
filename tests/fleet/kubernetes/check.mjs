// SPDX-License-Identifier: GPL-2.0-or-later
// Copyright (C) 2026 The virt-nbde-unlock authors
//
// Are these objects of Kubernetes what its API takes?
//
//   check.mjs < OBJECTS           a list in JSON
//
// kubernetes-models knows the types and values of fields, and passes over names that it
// does not know.  So each name is looked up in kubernetes-types, which is made from the
// published API.  Prints what is wrong, a line each; exit status 1 if anything is.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const require = createRequire(import.meta.url);
const types = path.dirname(require.resolve('kubernetes-types/package.json'));

// A file of declarations: its interfaces, with their fields, and where the names come
// from that it takes from others.
const files = new Map();

function declarations(file) {
  if (files.has(file)) return files.get(file);
  const text = readFileSync(path.join(types, `${file}.d.ts`), 'utf8')
    .replace(/\/\*[^]*?\*\//g, '');
  const found = { interfaces: new Map(), from: new Map(), aliases: new Map() };
  for (const [, names, where] of
       text.matchAll(/^import \{([^}]*)\} from "([^"]*)";/gm))
    for (const name of names.split(','))
      found.from.set(name.trim(), path.join(path.dirname(file), where));
  for (const [, name, type] of text.matchAll(/^export type (\w+) = (.*);/gm))
    found.aliases.set(name, type);
  for (const [, name, body] of
       text.matchAll(/^export interface (\w+) \{\n([^]*?)^\}/gm)) {
    const fields = new Map();
    // A map of names is an object over several lines.
    const flat = body.replace(/\{\s*\[name: string\]: ([^;]*);\s*\}/g, 'Map<$1>');
    for (const [, field, optional, type] of
         flat.matchAll(/^ {4}"?([\w$-]+)"?(\??): ([^;]*);$/gm))
      fields.set(field, { type, optional: optional !== '' });
    found.interfaces.set(name, fields);
  }
  files.set(file, found);
  return found;
}

const wrong = [];

function check(file, type, value, where) {
  const { interfaces, from, aliases } = declarations(file);
  const each = type.match(/^(Array|Map)<(.*)>$/);
  const kind = Array.isArray(value) ? 'array' : typeof value;
  const wants = (expected) => {
    if (!expected.includes(kind)) wrong.push(`${where}: ${kind} instead of ${type}`);
    return expected.includes(kind);
  };
  if (each && each[1] === 'Array') {
    if (wants(['array']))
      value.forEach((item, i) => check(file, each[2], item, `${where}[${i}]`));
  } else if (each) {
    if (wants(['object']))
      for (const [name, item] of Object.entries(value))
        check(file, each[2], item, `${where}.${name}`);
  } else if (from.has(type)) {
    check(from.get(type), type, value, where);
  } else if (aliases.has(type)) {
    check(file, aliases.get(type), value, where);
  } else if (interfaces.has(type)) {
    if (!wants(['object'])) return;
    const fields = interfaces.get(type);
    for (const [name, item] of Object.entries(value)) {
      const field = fields.get(name);
      if (field) check(file, field.type, item, `${where}.${name}`);
      else wrong.push(`${where}: ${type} has no field ${name}`);
    }
    for (const [name, { optional }] of fields)
      if (!optional && !(name in value)) wrong.push(`${where}: ${name} is missing`);
  } else if (/^".*"$/.test(type)) {
    if (value !== JSON.parse(type)) wrong.push(`${where}: not ${type}`);
  } else {
    wants(type.split(' | '));
  }
}

const objects = JSON.parse(readFileSync(0, 'utf8'));
if (objects.length === 0) wrong.push('there are no objects');
for (const object of objects) {
  const { apiVersion, kind, metadata } = object;
  const where = `${kind} ${metadata?.name}`;
  const [group, version] =
    apiVersion.includes('/') ? apiVersion.split('/') : ['core', apiVersion];
  const file = `${group.split('.')[0]}/${version}`;
  if (!existsSync(path.join(types, `${file}.d.ts`))) {
    wrong.push(`${where}: the API has no ${apiVersion}`);
    continue;
  }
  check(file, kind, object, where);
  try {
    const models = await import(`kubernetes-models/${apiVersion}`);
    new models[kind](object).validate();
  } catch (e) {
    wrong.push(`${where}: ${e.message}`);
  }
}
for (const line of wrong) console.log(line);
process.exit(wrong.length > 0 ? 1 : 0);
