/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Collect a LUKS header from extents, verify passphrases.  The collected
 * header is loaded by luks-load.c, and what is in it read by luks1.c and
 * luks2.c.
 */

#include <config.h>

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <libcryptsetup.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "luks/luks-private.h"
#include "luks/luks-quick.h"

/* Enough to see magic, version and size of any LUKS header. */
#define PROBE_SIZE 4096

/* Offsets of fields in the first bytes of both versions (LUKS2 section 2.1,
 * LUKS1 section 2.1.1), all big endian.
 */
#define OFF_VERSION 6                   /* uint16_t */
#define OFF_LUKS2_HDR_SIZE 8            /* uint64_t, bytes */
#define OFF_LUKS2_HDR_OFFSET 256        /* uint64_t, bytes */
#define OFF_LUKS1_PAYLOAD 104           /* uint32_t, 512-byte sectors */

/* pbkdf2 with fewer iterations is cheap: one thousand take a millisecond.
 * Clevis makes keyslots of one thousand.
 */
#define CHEAP_ITERATIONS 10000

static const unsigned char magic_primary[6] = "LUKS\xba\xbe";
static const unsigned char magic_secondary[6] = "SKUL\xba\xbe";

/* Sizes of a LUKS2 metadata area, which are the offsets of the secondary one
 * (section 2.1, table 1).
 */
#define METADATA_SIZE_MIN (16 * KIB)

/* libcryptsetup would lock in /run, which protects a device from another
 * process; our memory file has no other process.  And it would load a plugin
 * for each type of token that the header names.
 */
static void
setup_libcryptsetup (void)
{
  static bool done;

  if (done)
    return;
  crypt_set_log_callback (NULL, luks_keep_log, NULL);
  crypt_metadata_locking (NULL, 0);
  crypt_token_external_disable ();
  done = true;
}

struct luks *
luks_new (const char *device, uint64_t size)
{
  struct luks *luks;

  setup_libcryptsetup ();
  luks = calloc (1, sizeof *luks);
  if (luks == NULL)
    return NULL;
  luks->size = size;
  luks->fd = memfd_create ("luks-header", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  luks->device = strdup (device);
  if (luks->fd == -1 || luks->device == NULL) {
    luks_free (luks);
    return NULL;
  }
  return luks;
}

void
luks_free (struct luks *luks)
{
  size_t i;

  if (luks == NULL)
    return;
  luks_close (luks);
  if (luks->fd >= 0)
    close (luks->fd);
  for (i = 0; i < luks->nr_owned; ++i)
    free (luks->owned[i]);
  free (luks->owned);
  free (luks->wanted);
  free (luks->log);
  free (luks->device);
  json_decref (luks->json);
  secret_free (luks->volume_key);
  free (luks);
}

const char *
luks_device (const struct luks *luks)
{
  return luks->device;
}

void *
luks_own (struct luks *luks, void *p)
{
  void **owned;

  if (p == NULL)
    return NULL;
  owned = reallocarray (luks->owned, luks->nr_owned + 1, sizeof *owned);
  if (owned == NULL) {
    free (p);
    return NULL;
  }
  luks->owned = owned;
  luks->owned[luks->nr_owned++] = p;
  return p;
}

const char *
luks_own_printf (struct luks *luks, const char *fmt, ...)
{
  va_list args;
  char *str;
  int r;

  va_start (args, fmt);
  r = vasprintf (&str, fmt, args);
  va_end (args);
  return r == -1 ? NULL : luks_own (luks, str);
}

int
luks_want (struct luks *luks, uint64_t offset, uint64_t length,
           struct clevis_error *err)
{
  struct luks_extent *wanted;
  uint64_t piece;

  for (; length > 0; offset += piece, length -= piece) {
    piece = length < BOUND_EXTENT ? length : BOUND_EXTENT;
    wanted = reallocarray (luks->wanted, luks->nr_wanted + 1, sizeof *wanted);
    if (wanted == NULL)
      return clevis_error_errno (err, errno, _("extents of the header"));
    luks->wanted = wanted;
    luks->wanted[luks->nr_wanted].offset = offset;
    luks->wanted[luks->nr_wanted].length = piece;
    luks->nr_wanted++;
  }
  return 0;
}

int
luks_supply (struct luks *luks, uint64_t offset, const void *data, size_t len,
             struct clevis_error *err)
{
  const char *p = data;
  ssize_t r;

  while (len > 0) {
    r = pwrite (luks->fd, p, len, offset);
    if (r == -1)
      return clevis_error_errno (err, errno, _("memory for the header"));
    p += r;
    offset += r;
    len -= r;
  }
  if (luks->nr_wanted > 0) {
    luks->nr_wanted--;
    memmove (luks->wanted, luks->wanted + 1,
             luks->nr_wanted * sizeof *luks->wanted);
  }
  return 0;
}

/* Read back len bytes of the copy; what was not supplied reads as zeroes. */
static void
peek (const struct luks *luks, uint64_t offset, unsigned char *buf, size_t len)
{
  ssize_t r;

  memset (buf, 0, len);
  do
    r = pread (luks->fd, buf, len, offset);
  while (r == -1 && errno == EINTR);
}

static uint16_t
get_be16 (const unsigned char *p)
{
  uint16_t v;

  memcpy (&v, p, sizeof v);
  return be16toh (v);
}

static uint32_t
get_be32 (const unsigned char *p)
{
  uint32_t v;

  memcpy (&v, p, sizeof v);
  return be32toh (v);
}

static uint64_t
get_be64 (const unsigned char *p)
{
  uint64_t v;

  memcpy (&v, p, sizeof v);
  return be64toh (v);
}

static bool
valid_metadata_size (uint64_t size)
{
  return size >= METADATA_SIZE_MIN && size <= BOUND_LUKS2_METADATA &&
    (size & (size - 1)) == 0;
}

/* LUKS1: everything before the payload.  That is the header proper, the key
 * material, and the gap behind it where luksmeta lives.  A detached header
 * has no payload (0), and then it is the whole file.
 */
static int
want_luks1 (struct luks *luks, const unsigned char *probe,
            struct clevis_error *err)
{
  uint64_t size = (uint64_t) get_be32 (&probe[OFF_LUKS1_PAYLOAD]) * 512;

  if (size == 0 || size > luks->size)
    size = luks->size;
  if (size > BOUND_LUKS1_HEADER)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("LUKS1 header of %" PRIu64 " bytes is larger "
                               "than the limit of %llu bytes"),
                             size, BOUND_LUKS1_HEADER);
  luks->info.version = 1;
  luks->step = STEP_LOAD;
  if (size <= PROBE_SIZE)
    return 0;
  return luks_want (luks, PROBE_SIZE, size - PROBE_SIZE, err);
}

/* LUKS2 with a good primary header: both metadata areas. */
static int
want_luks2 (struct luks *luks, const unsigned char *probe,
            struct clevis_error *err)
{
  uint64_t size = get_be64 (&probe[OFF_LUKS2_HDR_SIZE]);

  if (!valid_metadata_size (size))
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("LUKS2 metadata size of %" PRIu64 " bytes is "
                               "not one that the format knows"), size);
  luks->info.version = 2;
  luks->metadata = size;
  luks->step = STEP_LOAD;
  return luks_want (luks, PROBE_SIZE, 2 * size - PROBE_SIZE, err);
}

/* Go on to the next place where a secondary LUKS2 header may be. */
static int
want_secondary (struct luks *luks, struct clevis_error *err)
{
  luks->secondary = luks->secondary == 0 ? METADATA_SIZE_MIN
    : luks->secondary * 2;
  if (luks->secondary > BOUND_LUKS2_METADATA ||
      luks->secondary + PROBE_SIZE > luks->size) {
    luks->step = STEP_NONE;
    return 0;
  }
  luks->step = STEP_SECONDARY;
  return luks_want (luks, luks->secondary, PROBE_SIZE, err);
}

static int
look_at_primary (struct luks *luks, struct clevis_error *err)
{
  unsigned char probe[PROBE_SIZE];

  peek (luks, 0, probe, sizeof probe);
  if (memcmp (probe, magic_primary, sizeof magic_primary) == 0) {
    switch (get_be16 (&probe[OFF_VERSION])) {
    case 1:
      return want_luks1 (luks, probe, err);
    case 2:
      if (valid_metadata_size (get_be64 (&probe[OFF_LUKS2_HDR_SIZE])))
        return want_luks2 (luks, probe, err);
    }
  }
  return want_secondary (luks, err);
}

static int
look_at_secondary (struct luks *luks, struct clevis_error *err)
{
  unsigned char probe[PROBE_SIZE];

  peek (luks, luks->secondary, probe, sizeof probe);
  if (memcmp (probe, magic_secondary, sizeof magic_secondary) != 0 ||
      get_be16 (&probe[OFF_VERSION]) != 2 ||
      get_be64 (&probe[OFF_LUKS2_HDR_SIZE]) != luks->secondary ||
      get_be64 (&probe[OFF_LUKS2_HDR_OFFSET]) != luks->secondary)
    return want_secondary (luks, err);

  luks->info.version = 2;
  luks->metadata = luks->secondary;
  luks->step = STEP_LOAD;
  return luks_want (luks, luks->secondary + PROBE_SIZE,
                    luks->secondary - PROBE_SIZE, err);
}

enum luks_state
luks_next (struct luks *luks, struct luks_extent *ext,
           struct clevis_error *err)
{
  int r = 0;

  if (luks->step == STEP_START) {
    luks->step = luks->size < PROBE_SIZE ? STEP_NONE : STEP_PRIMARY;
    if (luks->step == STEP_PRIMARY)
      r = luks_want (luks, 0, PROBE_SIZE, err);
  }
  while (r == 0 && luks->nr_wanted == 0 &&
         luks->step != STEP_READY && luks->step != STEP_NONE) {
    if (luks->step == STEP_PRIMARY)
      r = look_at_primary (luks, err);
    else if (luks->step == STEP_SECONDARY)
      r = look_at_secondary (luks, err);
    else
      r = luks_load (luks, err);
  }
  if (r == -1) {
    luks->nr_wanted = 0;
    luks->step = STEP_NONE;
    if (err && err->device == NULL)
      err->device = strdup (luks->device);
    return LUKS_ERROR;
  }
  if (luks->nr_wanted > 0) {
    *ext = luks->wanted[0];
    return LUKS_NEED;
  }
  return luks->step == STEP_READY ? LUKS_READY : LUKS_NONE;
}

const struct luks_info *
luks_info (const struct luks *luks)
{
  return &luks->info;
}

const struct luks_keyslot *
luks_keyslots (const struct luks *luks, size_t *nr)
{
  *nr = luks->nr_keyslots;
  return luks->keyslots;
}

const struct luks_keyslot *
luks_keyslot (const struct luks *luks, int slot)
{
  size_t i;

  for (i = 0; i < luks->nr_keyslots; ++i)
    if (luks->keyslots[i].slot == slot)
      return &luks->keyslots[i];
  return NULL;
}

const struct luks_token *
luks_tokens (const struct luks *luks, size_t *nr)
{
  *nr = luks->nr_tokens;
  return luks->tokens;
}

/* A token is stale if none of its keyslots exists. */
int
luks_mark_stale (struct luks *luks, struct clevis_error *err)
{
  struct luks_token *token;
  size_t i, j, alive;

  for (i = 0; i < luks->nr_tokens; ++i) {
    token = &luks->tokens[i];
    for (alive = j = 0; j < token->nr_keyslots; ++j)
      if (luks_keyslot (luks, token->keyslots[j]))
        alive++;
    if (alive > 0 || strcmp (token->type, "clevis") != 0)
      continue;
    token->stale = token->nr_keyslots == 0
      ? _("no keyslot is assigned to it")
      : luks_own_printf (luks, _("its keyslot %d does not exist"),
                         token->keyslots[0]);
    if (token->stale == NULL)
      return clevis_error_errno (err, errno, _("token %d"), token->id);
  }
  return 0;
}

/* Half of the memory of this host is what one keyslot may take: the same
 * share that cryptsetup allows itself when it makes one.
 */
static uint64_t
argon2_memory_limit (void)
{
  uint64_t half = (uint64_t) sysconf (_SC_PHYS_PAGES) / 2 *
    (uint64_t) sysconf (_SC_PAGESIZE) / KIB;

  return half < BOUND_ARGON2_MEMORY ? half : BOUND_ARGON2_MEMORY;
}

static int
check_cost (const struct luks *luks, const struct luks_keyslot *k,
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
  if (k->memory > argon2_memory_limit ())
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("its %s needs %" PRIu32 " KiB of memory, "
                               "more than the %" PRIu64 " KiB that one "
                               "keyslot may take on this host"),
                             k->kdf, k->memory, argon2_memory_limit ());
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
luks_may_be_tried (const struct luks *luks, const struct luks_keyslot *k)
{
  return k->refused == NULL && check_cost (luks, k, NULL) == 0;
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

bool
luks_is_quick (const struct luks *luks)
{
  size_t i;

  for (i = 0; i < luks->nr_keyslots; ++i)
    if (!luks_is_cheap (&luks->keyslots[i]) || luks->keyslots[i].refused)
      return false;
  return luks_digest_is_cheap (luks);
}

/* Open the keyslot and compare the digest; the volume key that comes out is
 * kept if that was dear.  Returns as crypt_volume_key_get does.
 */
static int
try_keyslot (struct luks *luks, const struct luks_keyslot *k,
             const struct secret *passphrase)
{
  SECRET_CRYPTSETUP_SCOPE;
  CLEANUP_SECRET struct secret *vk = NULL;
  size_t len = k->key_size;
  int r;

  vk = secret_new (len);
  if (vk == NULL)
    return -ENOMEM;
  r = crypt_volume_key_get (luks->cd, k->slot, (char *) vk->data, &len,
                            (const char *) passphrase->data, passphrase->len);
  if (r >= 0 && (!luks_is_cheap (k) || !luks_digest_is_cheap (luks))) {
    secret_free (luks->volume_key);
    luks->volume_key = vk;
    vk = NULL;
  }
  return r;
}

int
luks_verify (struct luks *luks, int slot, const struct secret *passphrase,
             struct clevis_error *err)
{
  const struct luks_keyslot *k = luks_keyslot (luks, slot);
  int r;

  if (k == NULL)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("the keyslot does not exist"));
  if (k->refused)
    return clevis_error_set (err, CLEVIS_ERR_HEADER, "%s", k->refused);
  if (check_cost (luks, k, err) == -1)
    return -1;

  r = try_keyslot (luks, k, passphrase);
  if (r >= 0)
    return 0;
  if (r == -EPERM) {
    clevis_error_set (err, CLEVIS_ERR_PASSPHRASE,
                      _("the keyslot does not accept the recovered "
                        "passphrase"));
    clevis_error_hint (err, _("The keyslot was changed after it was bound; "
                              "bind it again with clevis luks regen."));
    return -1;
  }
  return clevis_error_set (err,
                           r == -ENOMEM ? CLEVIS_ERR_SYSTEM
                           : CLEVIS_ERR_HEADER,
                           _("the keyslot cannot be read: %s"),
                           luks->log ? luks->log : strerror (-r));
}
