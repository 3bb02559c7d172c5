/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The checksum of a LUKS2 metadata area, and the JSON in it.
 */

#include <config.h>

#include <string.h>

#include <openssl/evp.h>

#include "luks/luks-area.h"

/* Offsets of fields of the binary header, and their sizes in bytes. */
#define OFF_CHECKSUM_ALG 72
#define OFF_CHECKSUM 448
#define CHECKSUM_ALG_SIZE 32
#define CHECKSUM_SIZE 64

/* The checksum is over the whole area, with zeroes in its own place, which are
 * there afterwards.  Returns its length in bytes, 0 if it is of a kind that is
 * not known.
 */
static size_t
compute (unsigned char *area, size_t size, unsigned char digest[EVP_MAX_MD_SIZE])
{
  char name[CHECKSUM_ALG_SIZE + 1] = "";
  const EVP_MD *md;
  unsigned len;

  memcpy (name, &area[OFF_CHECKSUM_ALG], CHECKSUM_ALG_SIZE);
  memset (&area[OFF_CHECKSUM], 0, CHECKSUM_SIZE);
  md = EVP_get_digestbyname (name);
  if (md == NULL || EVP_MD_size (md) > CHECKSUM_SIZE ||
      EVP_Digest (area, size, digest, &len, md, NULL) != 1)
    return 0;
  return len;
}

bool
luks_area_is_sound (unsigned char *area, size_t size)
{
  unsigned char checksum[CHECKSUM_SIZE], digest[EVP_MAX_MD_SIZE];
  size_t len;

  memcpy (checksum, &area[OFF_CHECKSUM], CHECKSUM_SIZE);
  len = compute (area, size, digest);
  return len > 0 && memcmp (digest, checksum, len) == 0;
}

size_t
luks_area_values (const unsigned char *area, size_t size)
{
  size_t i, n = 0;

  for (i = 0; i < size; ++i)
    n += area[i] == '[' || area[i] == '{' || area[i] == ',' || area[i] == ':';
  return n;
}

json_t *
luks_area_json (const unsigned char *area, size_t size)
{
  const char *text = (const char *) &area[LUKS_AREA_BINARY];

  return json_loadb (text, strnlen (text, size - LUKS_AREA_BINARY), 0, NULL);
}

bool
luks_area_seal (unsigned char *area, size_t size)
{
  unsigned char digest[EVP_MAX_MD_SIZE];
  const size_t len = compute (area, size, digest);

  memcpy (&area[OFF_CHECKSUM], digest, len);
  return len > 0;
}
