/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What a keyslot costs, from the header: the limits that none may exceed, and
 * an estimate of what it takes to try it.
 */

#include <config.h>

#include <inttypes.h>
#include <pthread.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/gettext-compat.h"
#include "luks/luks-cost.h"
#include "luks/luks-kdf.h"
#include "luks/luks-object.h"

/* pbkdf2 with fewer iterations is cheap: one thousand take a millisecond.
 * Clevis makes keyslots of one thousand.
 */
#define CHEAP_ITERATIONS 10000

/* Seconds to load a byte of metadata once more: checksums and JSON.  32 KiB
 * of a usual device are 3 milliseconds, 8 MiB are for the slow lane of
 * verify.c.
 */
#define LOADING 1e-7

/* Half of the memory of this host is what one keyslot may take: the same
 * share that cryptsetup allows itself when it makes one.
 */
static uint64_t memory_limit;

static void
find_memory_limit (void)
{
  const long pages = sysconf (_SC_PHYS_PAGES);
  uint64_t half;

  memory_limit = BOUND_ARGON2_MEMORY;
  if (pages <= 0)
    return;
  half = (uint64_t) pages / 2 * (uint64_t) sysconf (_SC_PAGESIZE) / KIB;
  if (half < memory_limit)
    memory_limit = half;
}

/* Once: for that, some C libraries open a file. */
uint64_t
luks_memory_limit (void)
{
  static pthread_once_t once = PTHREAD_ONCE_INIT;

  pthread_once (&once, find_memory_limit);
  return memory_limit;
}

int
luks_check_cost (const struct luks *luks, const struct luks_keyslot *k,
                 struct clevis_error *err)
{
  if (k->key_size < 1 || k->key_size > BOUND_VOLUME_KEY)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("its key is not 1 to %d bytes long"),
                             BOUND_VOLUME_KEY);
  if (k->area_key_size > BOUND_VOLUME_KEY)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("the key of its area is longer than %d bytes"),
                             BOUND_VOLUME_KEY);
  if (k->memory > luks_memory_limit ())
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("its %s needs %" PRIu32 " KiB of memory, "
                               "more than the %" PRIu64 " KiB that one "
                               "keyslot may take on this host"),
                             k->kdf, k->memory, luks_memory_limit ());
  if (k->memory > 0 &&
      (uint64_t) k->memory * k->iterations > BOUND_ARGON2_WORK)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("its %s with %" PRIu32 " KiB in %" PRIu32
                               " passes costs more than any real keyslot"),
                             k->kdf, k->memory, k->iterations);
  if (k->memory == 0 && k->iterations > BOUND_PBKDF2_ITERATIONS)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("its %s with %" PRIu32 " iterations costs "
                               "more than any real keyslot"),
                             k->kdf, k->iterations);
  if (luks->digest_iterations > BOUND_PBKDF2_ITERATIONS)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("a digest with %" PRIu32 " iterations costs "
                               "more than any real one"),
                             luks->digest_iterations);
  return 0;
}

bool
luks_is_cheap (const struct luks_keyslot *k)
{
  return k->memory == 0 && k->iterations <= CHEAP_ITERATIONS;
}

bool
luks_digest_is_cheap (const struct luks *luks)
{
  return luks->digest_iterations <= CHEAP_ITERATIONS;
}

/* The digest is compared with whatever comes out of the keyslot, so that a
 * wrong passphrase pays for it too.
 */
double
luks_cost (const struct luks *luks, int slot)
{
  const struct luks_keyslot *k = luks_keyslot (luks, slot);
  double cost;

  if (k == NULL)
    return -1;
  if (k->refused || luks_check_cost (luks, k, NULL) == -1)
    return 0;
  cost = k->memory > 0 ? luks_argon2_seconds (k->iterations, k->memory)
    : luks_pbkdf2_seconds (k->hash, k->iterations, k->area_key_size);
  return cost + luks->digest_seconds + LOADING * 2 * luks->metadata;
}
