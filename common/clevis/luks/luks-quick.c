/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Making the quick header with libcryptsetup, in the memory file that holds
 * the copy.  LUKS1 knows no priorities, so there the fields that say which
 * keyslots are active are written here.
 */

#include <config.h>

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "luks/luks-cost.h"
#include "luks/luks-digest.h"
#include "luks/luks-object.h"
#include "luks/luks-quick.h"
#include "luks/luks1-format.h"

/* What the keyslot and the digest get in the copy: the least that libcryptsetup
 * accepts.  It protects nothing, since the copy is never stored.
 */
#define QUICK_ITERATIONS 1000

/* Bytes of a LUKS1 header, rounded up to sectors. */
#define LUKS1_SIZE \
  ((sizeof (struct luks1_header) + LUKS1_SECTOR - 1) & ~(LUKS1_SECTOR - 1ULL))

bool
luks_is_quick (const struct luks *luks)
{
  size_t i;

  for (i = 0; i < luks->nr_keyslots; ++i)
    if (!luks_is_cheap (&luks->keyslots[i]) || luks->keyslots[i].refused)
      return false;
  return luks_digest_is_cheap (luks);
}

static int
failed (const struct luks *luks, int r, const char *what,
        struct clevis_error *err)
{
  const char *log = luks->context.log;

  return clevis_error_set (err, r == -ENOMEM ? CLEVIS_ERR_SYSTEM
                           : CLEVIS_ERR_HEADER, "%s: %s", what,
                           log ? log : strerror (-r));
}

/* Encrypt the keyslot anew with a cheap key derivation, from the volume key
 * that verification kept, so that the old one is not paid for a second time.
 */
static int
make_cheap (struct luks *luks, int keyslot, const struct secret *passphrase,
            struct clevis_error *err)
{
  SECRET_CRYPTSETUP_SCOPE;
  const struct luks_keyslot *k = luks_keyslot (luks, keyslot);
  const struct crypt_pbkdf_type pbkdf = {
    .type = CRYPT_KDF_PBKDF2,
    .hash = k->hash ? k->hash : "sha256",
    .iterations = QUICK_ITERATIONS,
    .flags = CRYPT_PBKDF_NO_BENCHMARK,
  };
  const struct secret *vk = luks->volume_key;
  int r;

  if (vk == NULL)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("keyslot %d was not verified"), keyslot);
  r = crypt_set_pbkdf_type (luks->context.cd, &pbkdf);
  if (r == 0)
    r = crypt_keyslot_destroy (luks->context.cd, keyslot);
  if (r == 0)
    r = crypt_keyslot_add_by_volume_key (
      luks->context.cd, keyslot, (const char *) vk->data, vk->len,
      (const char *) passphrase->data, passphrase->len);
  return r < 0 ? failed (luks, r, _("cannot make the keyslot cheap"), err) : 0;
}

/* LUKS2: this keyslot first, no other before it. */
static int
prefer (struct luks *luks, int keyslot, struct clevis_error *err)
{
  size_t i;
  int r;

  for (i = 0; i < luks->nr_keyslots; ++i)
    if (luks->keyslots[i].slot != keyslot &&
        strcmp (luks->keyslots[i].priority, "prefer") == 0) {
      r = crypt_keyslot_set_priority (luks->context.cd, luks->keyslots[i].slot,
                                      CRYPT_SLOT_PRIORITY_NORMAL);
      if (r < 0)
        return failed (luks, r, _("cannot set a priority"), err);
    }
  r = crypt_keyslot_set_priority (luks->context.cd, keyslot,
                                  CRYPT_SLOT_PRIORITY_PREFER);
  return r < 0 ? failed (luks, r, _("cannot set a priority"), err) : 0;
}

/* LUKS1: no keyslot but this one. */
static int
only (struct luks *luks, int keyslot, struct clevis_error *err)
{
  const uint32_t inactive = htobe32 (LUKS1_KEYSLOT_INACTIVE);
  int slot;

  for (slot = 0; slot < LUKS1_KEYSLOTS; ++slot)
    if (slot != keyslot &&
        pwrite (luks->fd, &inactive, sizeof inactive,
                offsetof (struct luks1_header, keyslots[slot].active)) !=
        sizeof inactive)
      return clevis_error_errno (err, errno, _("memory for the header"));
  return 0;
}

/* A digest of an unusual kind stays, and costs what it costs. */
static void
cheapen_digest (const struct luks *luks, int keyslot)
{
  if (luks->volume_key && !luks_digest_is_cheap (luks))
    luks_make_digest_cheap (luks, keyslot, luks->volume_key, QUICK_ITERATIONS);
}

static uint64_t
metadata_size (const struct luks *luks)
{
  uint64_t size;

  if (luks->info.version == 1)
    return LUKS1_SIZE;
  return crypt_get_metadata_size (luks->context.cd, &size, NULL) == 0
    ? 2 * size : 0;
}

int
luks_quick (struct luks *luks, int keyslot, const struct secret *passphrase,
            struct luks_extent ext[LUKS_QUICK_EXTENTS],
            struct clevis_error *err)
{
  const struct luks_keyslot *k = luks_keyslot (luks, keyslot);
  const bool cheap = k && luks_is_cheap (k);
  uint64_t offset, length;
  size_t i;

  if (k == NULL)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("keyslot %d does not exist"), keyslot);
  if (!cheap && make_cheap (luks, keyslot, passphrase, err) == -1)
    return -1;
  if ((luks->info.version == 1 ? only (luks, keyslot, err)
       : prefer (luks, keyslot, err)) == -1)
    return -1;
  cheapen_digest (luks, keyslot);

  /* What changed: the metadata, and the key material if it is new. */
  luks->nr_wanted = 0;
  if (luks_want (luks, 0, metadata_size (luks), err) == -1)
    return -1;
  if (!cheap) {
    if (crypt_keyslot_area (luks->context.cd, keyslot, &offset, &length) < 0)
      return clevis_error_set (err, CLEVIS_ERR_HEADER,
                               _("keyslot %d has no area"), keyslot);
    if (luks_want (luks, offset, length, err) == -1)
      return -1;
  }
  if (luks->nr_wanted == 0 || luks->nr_wanted > LUKS_QUICK_EXTENTS)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("unusual metadata size"));
  for (i = 0; i < luks->nr_wanted; ++i)
    ext[i] = luks->wanted[i];
  return luks->nr_wanted;
}

int
luks_quick_read (const struct luks *luks, const struct luks_extent *ext,
                 void *buf, struct clevis_error *err)
{
  ssize_t r = pread (luks->fd, buf, ext->length, ext->offset);

  if (r < 0 || (uint64_t) r != ext->length)
    return clevis_error_errno (err, r < 0 ? errno : EIO,
                               _("memory for the header"));
  return 0;
}
