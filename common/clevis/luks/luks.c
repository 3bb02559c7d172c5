/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The object: what is made and freed, and what it tells.
 */

#include <config.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/gettext-compat.h"
#include "luks/luks-kdf.h"
#include "luks/luks-object.h"

struct luks *
luks_new_over (const char *device, uint64_t size, int fd)
{
  struct luks *luks;

  if (fd == -1)
    return NULL;
  luks = calloc (1, sizeof *luks);
  if (luks == NULL) {
    close (fd);
    return NULL;
  }
  luks->size = size;
  luks->fd = fd;
  luks->device = strdup (device);
  if (luks->device == NULL) {
    luks_free (luks);
    return NULL;
  }
  return luks;
}

struct luks *
luks_new (const char *device, uint64_t size)
{
  luks_context_setup ();
  return luks_new_over (device, size,
                        memfd_create ("luks-header",
                                      MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

void
luks_free (struct luks *luks)
{
  size_t i;

  if (luks == NULL)
    return;
  luks_context_close (&luks->context);
  free (luks->context.log);
  close (luks->fd);
  for (i = 0; i < luks->nr_owned; ++i)
    free (luks->owned[i]);
  free (luks->owned);
  free (luks->wanted);
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

  /* A header may say that it goes on where the device has ended. */
  for (; length > 0 && offset < luks->size; offset += piece, length -= piece) {
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

void
luks_note_digest (struct luks *luks, const char *hash, uint32_t iterations)
{
  const double seconds = luks_pbkdf2_seconds (hash, iterations, 0);

  if (iterations > luks->digest_iterations)
    luks->digest_iterations = iterations;
  if (seconds > luks->digest_seconds)
    luks->digest_seconds = seconds;
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
