/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Load the header that luks.c has collected.  libcryptsetup does it; what this
 * file adds is to say what is wrong with a header, in words that name the
 * device and not our copy.
 */

#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libcryptsetup.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "luks/luks-area.h"
#include "luks/luks-private.h"

void
luks_keep_log (int level, const char *msg, void *opaque)
{
  struct luks *luks = opaque;
  size_t len = strcspn (msg, "\n");

  if (level != CRYPT_LOG_ERROR || luks == NULL)
    return;
  free (luks->log);
  luks->log = strndup (msg, len);
}

/* The most that a header can take. */
static uint64_t
largest_header (const struct luks *luks)
{
  return luks->info.version == 1 ? BOUND_LUKS1_HEADER
    : 2 * BOUND_LUKS2_METADATA + BOUND_LUKS2_KEYSLOTS;
}

/* libcryptsetup counts its contexts without a lock. */
static pthread_mutex_t contexts = PTHREAD_MUTEX_INITIALIZER;

void
luks_close (struct luks *luks)
{
  pthread_mutex_lock (&contexts);
  crypt_free (luks->cd);
  pthread_mutex_unlock (&contexts);
  luks->cd = NULL;
}

static int
open_context (struct luks *luks, const char *path)
{
  int r;

  pthread_mutex_lock (&contexts);
  r = crypt_init (&luks->cd, path);
  pthread_mutex_unlock (&contexts);
  if (r < 0)
    return r;
  crypt_set_log_callback (luks->cd, luks_keep_log, luks);
  return crypt_load (luks->cd,
                     luks->info.version == 1 ? CRYPT_LUKS1 : CRYPT_LUKS2, NULL);
}

/* Load the copy as if the device had that size.  Returns as crypt_load does. */
static int
load_copy (struct luks *luks, uint64_t size)
{
  char path[64];

  if (ftruncate (luks->fd, size) == -1)
    return -errno;
  snprintf (path, sizeof path, "/proc/self/fd/%d", luks->fd);
  luks_close (luks);
  return open_context (luks, path);
}

/* Bytes of the header that was loaded, to the end of its last area. */
static uint64_t
size_of_header (const struct luks *luks)
{
  uint64_t metadata, keyslots;

  if (luks->info.version == 1)
    return crypt_get_data_offset (luks->cd) * 512;
  if (crypt_get_metadata_size (luks->cd, &metadata, &keyslots) < 0)
    return 0;
  return 2 * metadata + keyslots;
}

/* If the header can be loaded from a larger device, returns its size; else 0.
 * What libcryptsetup says of that is not kept.
 */
static uint64_t
size_if_larger (struct luks *luks)
{
  const uint64_t largest = largest_header (luks);
  char *log = luks->log;
  uint64_t size = 0;

  luks->log = NULL;
  if (luks->size < largest && load_copy (luks, largest) >= 0)
    size = size_of_header (luks);
  free (luks->log);
  luks->log = log;
  return size;
}

/* libcryptsetup says nothing where neither copy is valid. */
static void
explain_damage (const struct luks *luks, int r, struct clevis_error *err)
{
  if (luks->info.version == 2 && luks->size < 2 * luks->metadata)
    clevis_error_set (err, CLEVIS_ERR_HEADER,
                      _("damaged LUKS2 header: the device has %" PRIu64
                        " bytes, which end before the %" PRIu64 " bytes of "
                        "its metadata"), luks->size, 2 * luks->metadata);
  else if (luks->info.version == 2 && luks->log == NULL)
    clevis_error_set (err, CLEVIS_ERR_HEADER,
                      _("damaged LUKS2 header: neither the primary nor the "
                        "secondary one has the right checksum and valid "
                        "metadata"));
  else
    clevis_error_set (err, CLEVIS_ERR_HEADER, _("damaged LUKS%d header: %s"),
                      luks->info.version,
                      luks->log ? luks->log : strerror (-r));
  clevis_error_hint (err, _("If there is a header backup, cryptsetup "
                            "luksHeaderRestore can put it back in a copy of "
                            "the disk."));
}

/* Say why the header could not be loaded. */
static int
explain (struct luks *luks, int r, struct clevis_error *err)
{
  const uint64_t size = size_if_larger (luks);

  if (luks->size >= size) {
    explain_damage (luks, r, err);
    return -1;
  }
  clevis_error_set (err, CLEVIS_ERR_HEADER,
                    _("the device or its image is truncated: it has %" PRIu64
                      " bytes, and its LUKS%d header takes at least %" PRIu64),
                    luks->size, luks->info.version, size);
  clevis_error_hint (err, _("Was the disk copied to its end, and is the whole "
                            "of it given?"));
  return -1;
}

/* Is the checksum of the primary LUKS2 header right, and is there JSON in it? */
static bool
is_primary_sound (const struct luks *luks)
{
  CLEANUP_FREE unsigned char *area = calloc (1, luks->metadata);
  CLEANUP_JSON json_t *json = NULL;

  if (area == NULL ||
      pread (luks->fd, area, luks->metadata, 0) != (ssize_t) luks->metadata ||
      !luks_area_is_sound (area, luks->metadata))
    return false;
  json = luks_area_json (area, luks->metadata);
  return json != NULL;
}

/* Before anybody reads the metadata: is it no more than a header needs?  Which of
 * the two areas libcryptsetup takes does not matter.
 */
static int
check_values (const struct luks *luks, struct clevis_error *err)
{
  const size_t size = 2 * luks->metadata;
  CLEANUP_FREE unsigned char *areas = calloc (1, size);
  ssize_t len;

  if (areas == NULL)
    return clevis_error_errno (err, errno, _("memory for the header"));
  len = pread (luks->fd, areas, size, 0);
  if (len == -1)
    return clevis_error_errno (err, errno, _("memory for the header"));
  if (luks_area_values (areas, len) > BOUND_LUKS2_VALUES)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("the LUKS2 metadata has more than %d values"),
                             BOUND_LUKS2_VALUES);
  return 0;
}

/* The size of the copy is that of the device, as far as a header can go:
 * libcryptsetup compares it with the areas that the header names.
 */
int
luks_load (struct luks *luks, struct clevis_error *err)
{
  const uint64_t largest = largest_header (luks);
  int r;

  if (luks->info.version == 2 && !luks->again && check_values (luks, err) == -1)
    return -1;
  r = load_copy (luks, luks->size < largest ? luks->size : largest);
  if (luks->cd == NULL)
    return clevis_error_errno (err, -r, _("memory for the header"));
  if (r < 0)
    return explain (luks, r, err);
  if (luks->info.version == 2 && !luks->again && !is_primary_sound (luks))
    luks->info.note = _("the primary LUKS2 header is damaged, the secondary "
                        "one was used");
  luks->step = STEP_READY;
  return luks->info.version == 1 ? luks1_read (luks, err)
    : luks2_read (luks, err);
}
