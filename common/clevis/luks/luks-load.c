/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Load the header that was collected.  libcryptsetup does it; what this
 * file adds is to say what is wrong with a header, in words that name the
 * device and not our copy.
 */

#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "luks/luks-area.h"
#include "luks/luks-load.h"
#include "luks/luks-object.h"
#include "luks/luks-read.h"
#include "luks/luks1-format.h"

/* The most that a header can take. */
static uint64_t
largest_header (const struct luks *luks)
{
  return luks->info.version == 1 ? BOUND_LUKS1_HEADER
    : 2 * BOUND_LUKS2_METADATA + BOUND_LUKS2_KEYSLOTS;
}

/* Load the copy as if the device had that size.  Returns as crypt_load does. */
static int
load_copy (struct luks *luks, uint64_t size)
{
  if (ftruncate (luks->fd, size) == -1)
    return -errno;
  luks_context_close (&luks->context);
  return luks_context_open (&luks->context, luks->fd, luks->info.version);
}

/* Bytes of the header that was loaded, to the end of its last area. */
static uint64_t
size_of_header (const struct luks *luks)
{
  uint64_t metadata, keyslots;

  if (luks->info.version == 1)
    return crypt_get_data_offset (luks->context.cd) * LUKS1_SECTOR;
  if (crypt_get_metadata_size (luks->context.cd, &metadata, &keyslots) < 0)
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
  char *log = luks->context.log;
  uint64_t size = 0;

  luks->context.log = NULL;
  if (luks->size < largest && load_copy (luks, largest) >= 0)
    size = size_of_header (luks);
  free (luks->context.log);
  luks->context.log = log;
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
  else if (luks->info.version == 2 && luks->context.log == NULL)
    clevis_error_set (err, CLEVIS_ERR_HEADER,
                      _("damaged LUKS2 header: neither the primary nor the "
                        "secondary one has the right checksum and valid "
                        "metadata"));
  else
    clevis_error_set (err, CLEVIS_ERR_HEADER, _("damaged LUKS%d header: %s"),
                      luks->info.version,
                      luks->context.log ? luks->context.log : strerror (-r));
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

/* Is the checksum of the primary LUKS2 header right, and is there JSON in it?
 */
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

/* A token is stale if none of its keyslots exists. */
static int
mark_stale (struct luks *luks, struct clevis_error *err)
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
  if (luks->context.cd == NULL)
    return clevis_error_errno (err, -r, _("memory for the header"));
  if (r < 0)
    return explain (luks, r, err);
  if (luks->info.version == 2 && !luks->again && !is_primary_sound (luks))
    luks->info.note = _("the primary LUKS2 header is damaged, the secondary "
                        "one was used");
  if ((luks->info.version == 1 ? luks1_read (luks, err)
       : luks2_read (luks, err)) == -1)
    return -1;
  return mark_stale (luks, err);
}
