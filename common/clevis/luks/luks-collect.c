/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Which bytes of the device a header is made of: they are asked for one extent
 * after the other, and put into the memory file.
 */

#include <config.h>

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bounds.h"
#include "base/gettext-compat.h"
#include "luks/luks-load.h"
#include "luks/luks-object.h"
#include "luks/luks1-format.h"
#include "luks/luks2-format.h"

/* The first bytes of a device, or of a secondary LUKS2 header: enough to see
 * magic, version and size of any LUKS header.
 */
union probe {
  struct luks1_header luks1;
  struct luks2_header luks2;
};

#define PROBE_SIZE (sizeof (union probe))

static bool
has_magic (const union probe *probe, const char *magic)
{
  return memcmp (probe->luks2.magic, magic, sizeof probe->luks2.magic) == 0;
}

int
luks_put (struct luks *luks, uint64_t offset, const void *data, size_t len,
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
  return 0;
}

void
luks_supplied (struct luks *luks)
{
  if (luks->nr_wanted == 0)
    return;
  luks->nr_wanted--;
  memmove (luks->wanted, luks->wanted + 1,
           luks->nr_wanted * sizeof *luks->wanted);
}

int
luks_supply (struct luks *luks, uint64_t offset, const void *data, size_t len,
             struct clevis_error *err)
{
  if (luks_put (luks, offset, data, len, err) == -1)
    return -1;
  luks_supplied (luks);
  return 0;
}

/* Read back a piece of the copy; what was not supplied reads as zeroes. */
static void
peek (const struct luks *luks, uint64_t offset, union probe *probe)
{
  ssize_t r;

  memset (probe, 0, sizeof *probe);
  do
    r = pread (luks->fd, probe, sizeof *probe, offset);
  while (r == -1 && errno == EINTR);
}

static bool
valid_metadata_size (uint64_t size)
{
  return size >= LUKS2_METADATA_MIN && size <= BOUND_LUKS2_METADATA &&
    (size & (size - 1)) == 0;
}

/* LUKS1: everything before the payload.  That is the header proper, the key
 * material, and the gap behind it where luksmeta lives.  A detached header
 * has no payload (0), and then it is the whole file.
 */
static int
want_luks1 (struct luks *luks, const union probe *probe,
            struct clevis_error *err)
{
  uint64_t size = (uint64_t) be32toh (probe->luks1.payload_offset) *
    LUKS1_SECTOR;

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
want_luks2 (struct luks *luks, const union probe *probe,
            struct clevis_error *err)
{
  const uint64_t size = be64toh (probe->luks2.size);

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
  luks->secondary = luks->secondary == 0 ? LUKS2_METADATA_MIN
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
  union probe probe;

  peek (luks, 0, &probe);
  if (has_magic (&probe, LUKS1_MAGIC) && be16toh (probe.luks1.version) == 1)
    return want_luks1 (luks, &probe, err);
  if (has_magic (&probe, LUKS2_MAGIC) && be16toh (probe.luks2.version) == 2 &&
      valid_metadata_size (be64toh (probe.luks2.size)))
    return want_luks2 (luks, &probe, err);
  return want_secondary (luks, err);
}

static int
look_at_secondary (struct luks *luks, struct clevis_error *err)
{
  union probe probe;

  peek (luks, luks->secondary, &probe);
  if (!has_magic (&probe, LUKS2_MAGIC_SECONDARY) ||
      be16toh (probe.luks2.version) != 2 ||
      be64toh (probe.luks2.size) != luks->secondary ||
      be64toh (probe.luks2.offset) != luks->secondary)
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
    else if ((r = luks_load (luks, err)) == 0)
      luks->step = STEP_READY;
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
