/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Fuzz target: a LUKS header, its tokens, the keyslots that cost little, and
 * the place of the data.
 * The first byte of the input says what the rest is:
 *
 *   0  the first bytes of a device
 *   1  a LUKS2 header: 512 bytes of the binary header, then JSON; both copies
 *      are made of it, with checksums that are right
 *   2  a LUKS1 header: 592 bytes, 272 bytes of luksmeta, then what a slot of
 *      luksmeta holds, with checksums that are right
 *
 * plus 0x40 if a passphrase is to be tried, too, which takes most of the time.
 */

#include <config.h>

#include "fuzz.h"

#include <endian.h>

#include <openssl/sha.h>

#include "base/bounds.h"
#include "luks/luks-data.h"
#include "luks/luks-object.h"
#include "luks/luks1-format.h"
#include "luks/luks2-format.h"
#include "pins/pin.h"

#define LUKS2_AREA (16 * KIB)
#define LUKS2_BINARY 512
#define META_HEADER 272
#define META_OFFSET 0x101000    /* where 8 keyslots of 256 bits end */
#define META_CRC 12
#define META_SLOT(i) (16 + 32 * (i))
#define DEVICE_SIZE (4 * MIB)

/* In the first byte. */
#define TRY_KEYSLOTS 0x40

/* The largest parts of the device that an input fills. */
#define FILLED_START (64 * KIB)
#define FILLED_META (4096 + 64 * KIB)

static unsigned char *device;

int
LLVMFuzzerInitialize (int *argc, char ***argv)
{
  fuzz_initialize ();
  device = calloc (1, DEVICE_SIZE);
  return 0;
}

/* One metadata area at an offset. */
static void
put_luks2 (size_t offset, const uint8_t *data, size_t size)
{
  unsigned char *area = device + offset;
  struct luks2_header *header = (void *) area;
  size_t n = size < LUKS2_BINARY ? size : LUKS2_BINARY;

  memcpy (area, data, n);
  size -= n;
  data += n;
  memcpy (area + LUKS2_JSON_OFFSET, data,
          size < LUKS2_AREA - LUKS2_JSON_OFFSET ? size
          : LUKS2_AREA - LUKS2_JSON_OFFSET);
  if (offset > 0) {             /* what only the second has */
    memcpy (header->magic, LUKS2_MAGIC_SECONDARY, 4);
    header->offset = htobe64 (LUKS2_AREA);
  }
  memset (header->checksum, 0, sizeof header->checksum);
  SHA256 (area, LUKS2_AREA, header->checksum);
}

static uint32_t
crc32c (const unsigned char *data, size_t len)
{
  uint32_t crc = 0xffffffff;
  int i;

  while (len-- > 0)
    for (crc ^= *data++, i = 0; i < 8; ++i)
      crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
  return crc ^ 0xffffffff;
}

static void
put_be32 (unsigned char *p, uint32_t v)
{
  p[0] = v >> 24;
  p[1] = v >> 16;
  p[2] = v >> 8;
  p[3] = v;
}

static uint32_t
get_be32 (const unsigned char *p)
{
  return (uint32_t) p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static void
put_luks1 (const uint8_t *data, size_t size)
{
  unsigned char *meta = device + META_OFFSET, *slot;
  size_t n = sizeof (struct luks1_header);
  uint32_t offset, length;
  int i;

  n = size < n ? size : n;
  memcpy (device, data, n);
  data += n;
  size -= n;
  n = size < META_HEADER ? size : META_HEADER;
  memcpy (meta, data, n);
  data += n;
  size -= n;
  n = size < 64 * KIB ? size : 64 * KIB;
  memcpy (meta + 4096, data, n);
  for (i = 0; i < 8; ++i) {
    slot = meta + META_SLOT (i);
    offset = get_be32 (slot + 16);
    length = get_be32 (slot + 20);
    if (offset < MIB && length < MIB)
      put_be32 (slot + 24, crc32c (meta + offset, length));
  }
  memset (meta + META_CRC, 0, 4);
  put_be32 (meta + META_CRC, crc32c (meta, META_HEADER));
}

/* Fill the device; returns its size. */
static uint64_t
make_device (const uint8_t *data, size_t size)
{
  int kind = size > 0 ? data[0] : 0;

  memset (device, 0, FILLED_START);
  memset (device + META_OFFSET, 0, FILLED_META);
  if (size > 0)
    data++, size--;
  switch (kind & ~TRY_KEYSLOTS) {
  case 1:
    put_luks2 (0, data, size);
    put_luks2 (LUKS2_AREA, data, size);
    return DEVICE_SIZE;
  case 2:
    put_luks1 (data, size);
    return DEVICE_SIZE;
  default:
    memcpy (device, data, size < FILLED_START ? size : FILLED_START);
    /* With and without an end that is close. */
    return kind & 0x80 ? size : 1ULL << 40;
  }
}

static void
check_pin (struct pin *pin, size_t depth)
{
  size_t i;

  fuzz_assert (depth <= BOUND_PIN_DEPTH);
  fuzz_assert (pin->nr_children <= BOUND_PIN_CHILDREN);
  fuzz_assert (pin->state == PIN_IDLE || pin->error.code != CLEVIS_OK);
  fuzz_check_error (&pin->error);
  for (i = 0; i < pin->nr_children; ++i)
    check_pin (pin->children[i], depth + 1);
}

static void
check_tokens (const struct luks *luks)
{
  const struct luks_token *tokens;
  size_t nr, i;

  tokens = luks_tokens (luks, &nr);
  fuzz_assert (nr <= 32);
  for (i = 0; i < nr; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    struct pin *pin;

    fuzz_assert (tokens[i].type != NULL);
    fuzz_assert (tokens[i].nr_keyslots == 0 || tokens[i].keyslots != NULL);
    fuzz_planted (strcmp (tokens[i].type, "clevis") != 0);
    if (tokens[i].jwe == NULL)
      continue;
    pin = pin_parse (tokens[i].jwe, &err);
    fuzz_assert (pin != NULL || err.code != CLEVIS_OK);
    fuzz_check_error (&err);
    if (pin)
      check_pin (pin, 1);
    pin_free (pin);
  }
}

/* Try the keyslots that cost less than a few milliseconds. */
static void
check_keyslots (struct luks *luks)
{
  CLEANUP_SECRET struct secret *passphrase = secret_copy ("x", 1);
  const struct luks_keyslot *k;
  size_t nr, i;

  k = luks_keyslots (luks, &nr);
  fuzz_assert (nr <= 32);
  for (i = 0; i < nr; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;

    fuzz_assert (k[i].kdf && k[i].cipher && k[i].priority);
    if (k[i].memory > 0 || k[i].iterations > 1000 ||
        luks->digest_iterations > 1000)
      continue;
    luks_verify (luks, k[i].slot, passphrase, &err);
    fuzz_check_error (&err);
  }
}

static void
check_info (const struct luks *luks)
{
  const struct luks_info *info = luks_info (luks);

  fuzz_assert (info->version == 1 || info->version == 2);
  fuzz_assert (info->uuid && info->label && info->cipher);
  fuzz_assert (strncmp (info->cipher, "cipher_null", 11) != 0);
}

static void
check_data_error (int r, const struct clevis_error *err)
{
  fuzz_assert (r == 0 || err->code == CLEVIS_ERR_UNSUPPORTED ||
               err->code == CLEVIS_ERR_HEADER);
  fuzz_check_error (err);
}

/* Where the data are; and the last sector of them, with any volume key. */
static void
check_data (struct luks *luks, uint64_t device_size)
{
  static const unsigned char data[4096];
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  unsigned char plain[4096];
  struct luks_data_extent e;
  size_t i;
  int r = luks_data_extent (luks, &e, &err);

  check_data_error (r, &err);
  if (r == -1)
    return;
  fuzz_assert (e.length > 0 && e.offset <= device_size &&
               e.length <= device_size - e.offset);
  fuzz_assert (e.sector_size <= sizeof data && e.length % e.sector_size == 0);
  luks->volume_key = secret_new (luks->info.key_size);
  for (i = 0; i < luks->volume_key->len; ++i)
    luks->volume_key->data[i] = i;
  check_data_error (luks_decrypt (luks, e.length - e.sector_size, data, plain,
                                  e.sector_size, &err), &err);
  fuzz_assert (luks_decrypt (luks, e.length, data, plain, e.sector_size,
                             NULL) == -1);
}

int
LLVMFuzzerTestOneInput (const uint8_t *data, size_t size)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  uint64_t device_size = make_device (data, size), total = 0;
  struct luks *luks = luks_new ("/dev/fuzz", device_size);
  struct luks_extent ext;
  enum luks_state state;
  size_t n;

  fuzz_assert (luks != NULL);
  while ((state = luks_next (luks, &ext, &err)) == LUKS_NEED) {
    fuzz_assert (ext.length > 0 && ext.length <= BOUND_EXTENT);
    total += ext.length;
    fuzz_assert (total <= 2 * BOUND_LUKS2_METADATA + BOUND_LUKS2_KEYSLOTS +
                 BOUND_LUKS1_HEADER);
    n = ext.offset >= DEVICE_SIZE || ext.offset >= device_size ? 0
      : ext.length < DEVICE_SIZE - ext.offset ? ext.length
      : DEVICE_SIZE - ext.offset;
    fuzz_assert (luks_supply (luks, ext.offset, device + (n ? ext.offset : 0),
                              n, &err) == 0);
  }
  if (state == LUKS_READY) {
    check_info (luks);
    check_tokens (luks);
    if (data[0] & TRY_KEYSLOTS)
      check_keyslots (luks);
    check_data (luks, device_size);
  }
  else
    fuzz_assert ((state == LUKS_ERROR) == (err.code != CLEVIS_OK));
  fuzz_check_error (&err);
  luks_free (luks);
  return 0;
}
