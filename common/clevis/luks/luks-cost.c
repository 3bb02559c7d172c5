/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What a keyslot costs to try, estimated from the header: whether a disk opens
 * should not depend on what else the machine does at that moment, so nothing is
 * measured.
 */

#include <config.h>

#include <string.h>

#include "luks/luks-private.h"

/* Seconds of one iteration of pbkdf2 for one block of its hash.  Processors of
 * today take 0.3 to 1 microsecond.
 */
#define ITERATION 1e-6

/* Seconds of one pass of argon2 over one KiB, by one thread.  Processors of today
 * take 0.5 to 1 second for a GiB.
 */
#define ARGON2_KIB (1.0 / (1024 * 1024))

/* Seconds to load a byte of metadata once more: checksums and JSON.  32 KiB of a
 * usual device are 3 milliseconds, 8 MiB are for the slow lane of verify.c.
 */
#define LOADING 1e-7

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
static double
pbkdf2_cost (const char *name, double iterations, double bytes)
{
  const struct hash *hash = find_hash (name);
  const double blocks = bytes / hash->bytes;

  return iterations * hash->factor * ITERATION * (blocks > 1 ? blocks : 1);
}

void
luks_note_digest (struct luks *luks, const char *hash, uint32_t iterations)
{
  const double seconds = pbkdf2_cost (hash, iterations, 0);

  if (iterations > luks->digest_iterations)
    luks->digest_iterations = iterations;
  if (seconds > luks->digest_seconds)
    luks->digest_seconds = seconds;
}

/* The digest is compared with whatever comes out of the keyslot, so that a wrong
 * passphrase pays for it too.
 */
double
luks_cost (const struct luks *luks, int slot)
{
  const struct luks_keyslot *k = luks_keyslot (luks, slot);
  double cost;

  if (k == NULL)
    return -1;
  if (!luks_may_be_tried (luks, k))
    return 0;
  cost = k->memory > 0 ? ARGON2_KIB * k->memory * k->iterations
    : pbkdf2_cost (k->hash, k->iterations, k->area_key_size);
  return cost + luks->digest_seconds + LOADING * 2 * luks->metadata;
}
