/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * The checksum of a LUKS2 metadata area, and the JSON in it.
 */

#include <config.h>

#include <string.h>

#include <openssl/evp.h>

#include "luks/luks-area.h"
#include "luks/luks2-format.h"

/* The checksum is over the whole area, with zeroes in its own place, which are
 * there afterwards.  Returns its length in bytes, 0 if it is of a kind that is
 * not known.
 */
static size_t
compute (unsigned char *area, size_t size, unsigned char digest[EVP_MAX_MD_SIZE])
{
  struct luks2_header *header = (void *) area;
  char name[sizeof header->checksum_hash + 1] = "";
  const EVP_MD *md;
  unsigned len;

  memcpy (name, header->checksum_hash, sizeof header->checksum_hash);
  memset (header->checksum, 0, sizeof header->checksum);
  md = EVP_get_digestbyname (name);
  if (md == NULL || EVP_MD_size (md) > (int) sizeof header->checksum ||
      EVP_Digest (area, size, digest, &len, md, NULL) != 1)
    return 0;
  return len;
}

bool
luks_area_is_sound (unsigned char *area, size_t size)
{
  const struct luks2_header *header = (const void *) area;
  unsigned char checksum[sizeof header->checksum], digest[EVP_MAX_MD_SIZE];
  size_t len;

  memcpy (checksum, header->checksum, sizeof checksum);
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
  const char *text = (const char *) &area[LUKS2_JSON_OFFSET];

  return json_loadb (text, strnlen (text, size - LUKS2_JSON_OFFSET), 0, NULL);
}

bool
luks_area_seal (unsigned char *area, size_t size)
{
  struct luks2_header *header = (void *) area;
  unsigned char digest[EVP_MAX_MD_SIZE];
  const size_t len = compute (area, size, digest);

  memcpy (header->checksum, digest, len);
  return len > 0;
}
