/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The estimates of luks-kdf.h.
 */

#include <config.h>

#include <stddef.h>
#include <string.h>

#include "luks/luks-kdf.h"

/* Seconds of one iteration of pbkdf2 for one block of its hash.  Processors of
 * today take 0.3 to 1 microsecond.
 */
#define ITERATION 1e-6

/* Seconds of one pass of argon2 over one KiB, by one thread.  Processors of
 * today take 0.5 to 1 second for a GiB.
 */
#define ARGON2_KIB (1.0 / (1024 * 1024))

/* Bytes, and how much slower than SHA-256 it is at most. */
static const struct hash {
  const char *name;
  int bytes, factor;
} hashes[] = {
  { "sha1", 20, 1 }, { "sha224", 28, 1 }, { "sha256", 32, 1 },
  { "sha384", 48, 2 }, { "sha512", 64, 2 },
};

/* Those that are not known are slow ones (whirlpool, streebog). */
static const struct hash other = { "", 16, 8 };

static const struct hash *
find_hash (const char *name)
{
  size_t i;

  for (i = 0; name && i < sizeof hashes / sizeof hashes[0]; ++i)
    if (strcmp (hashes[i].name, name) == 0)
      return &hashes[i];
  return &other;
}

bool
luks_knows_hash (const char *hash)
{
  return find_hash (hash) != &other;
}

/* Each block of the hash takes all iterations. */
double
luks_pbkdf2_seconds (const char *name, double iterations, double bytes)
{
  const struct hash *hash = find_hash (name);
  const double blocks = bytes / hash->bytes;

  return iterations * hash->factor * ITERATION * (blocks > 1 ? blocks : 1);
}

double
luks_argon2_seconds (double passes, double memory)
{
  return ARGON2_KIB * memory * passes;
}
