/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * A cheap digest of the volume key in the copy of a header.  libcryptsetup has
 * no function for that, so the metadata is written here: the fields of LUKS1,
 * or both JSON areas of LUKS2.
 */

#include <config.h>

#include <endian.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#include "base/cleanups.h"
#include "luks/luks-area.h"
#include "luks/luks-digest.h"
#include "luks/luks-object.h"
#include "luks/luks1-format.h"
#include "luks/luks2-format.h"

/* No salt and no digest of a known header is longer. */
#define MAX_BINARY 128

static bool
derive (const struct secret *key, const char *hash, const unsigned char *salt,
        size_t salt_len, uint32_t iterations, unsigned char *digest, size_t len)
{
  SECRET_CRYPTO_SCOPE;
  const EVP_MD *md = EVP_get_digestbyname (hash);

  return md != NULL && len > 0 &&
    PKCS5_PBKDF2_HMAC ((const char *) key->data, (int) key->len, salt,
                       (int) salt_len, (int) iterations, md, (int) len,
                       digest) == 1;
}

static bool
change_luks1 (const struct luks *luks, const struct secret *key,
              uint32_t iterations)
{
  struct luks1_header header;
  char hash[sizeof header.hash + 1] = "";

  if (pread (luks->fd, &header, sizeof header, 0) != sizeof header)
    return false;
  memcpy (hash, header.hash, sizeof header.hash);
  header.digest_iterations = htobe32 (iterations);
  return derive (key, hash, header.digest_salt, sizeof header.digest_salt,
                 iterations, header.digest, sizeof header.digest) &&
    pwrite (luks->fd, &header, sizeof header, 0) == sizeof header;
}

/* Decode a member in base64.  Returns its length in bytes, or 0. */
static size_t
get_binary (const json_t *json, const char *name,
            unsigned char buf[MAX_BINARY])
{
  const char *text = json_string_value (json_object_get (json, name));
  size_t len = text ? strlen (text) : 0, padding = 0;
  int r;

  if (len == 0 || len % 4 != 0 || len / 4 * 3 > MAX_BINARY)
    return 0;
  while (padding < 2 && text[len - 1 - padding] == '=')
    padding++;
  r = EVP_DecodeBlock (buf, (const unsigned char *) text, (int) len);
  return r < 0 || (size_t) r < padding ? 0 : (size_t) r - padding;
}

static int
set_binary (json_t *json, const char *name, const unsigned char *buf,
            size_t len)
{
  char text[MAX_BINARY / 3 * 4 + 5];

  EVP_EncodeBlock ((unsigned char *) text, buf, (int) len);
  return json_object_set_new (json, name, json_string (text));
}

/* The digest that a keyslot is assigned to, or NULL. */
static json_t *
digest_of (const json_t *metadata, int keyslot)
{
  const char *name;
  json_t *digest;
  char number[16];

  snprintf (number, sizeof number, "%d", keyslot);
  json_object_foreach (json_object_get (metadata, "digests"), name, digest) {
    const json_t *keyslots = json_object_get (digest, "keyslots");
    size_t i;

    for (i = 0; i < json_array_size (keyslots); ++i) {
      const char *s = json_string_value (json_array_get (keyslots, i));

      if (s && strcmp (s, number) == 0)
        return digest;
    }
  }
  return NULL;
}

static bool
change_json (const json_t *metadata, int keyslot, const struct secret *key,
             uint32_t iterations)
{
  json_t *json = digest_of (metadata, keyslot);
  const char *type = json_string_value (json_object_get (json, "type"));
  const char *hash = json_string_value (json_object_get (json, "hash"));
  unsigned char salt[MAX_BINARY], digest[MAX_BINARY];
  const size_t salt_len = get_binary (json, "salt", salt);
  const size_t len = get_binary (json, "digest", digest);

  return type != NULL && strcmp (type, "pbkdf2") == 0 && hash != NULL &&
    salt_len > 0 &&
    derive (key, hash, salt, salt_len, iterations, digest, len) &&
    set_binary (json, "digest", digest, len) == 0 &&
    json_object_set_new (json, "iterations", json_integer (iterations)) == 0;
}

/* Put the text into the area at offset, which has the binary header there. */
static bool
fill (const struct luks *luks, unsigned char *area, uint64_t offset,
      const char *text)
{
  const size_t size = luks->metadata, len = strlen (text);

  if (pread (luks->fd, area, LUKS2_JSON_OFFSET, offset) !=
      (ssize_t) LUKS2_JSON_OFFSET)
    return false;
  memset (&area[LUKS2_JSON_OFFSET], 0, size - LUKS2_JSON_OFFSET);
  memcpy (&area[LUKS2_JSON_OFFSET], text, len);
  return luks_area_seal (area, size);
}

static bool
change_luks2 (const struct luks *luks, int keyslot, const struct secret *key,
              uint32_t iterations)
{
  const size_t size = luks->metadata;
  CLEANUP_FREE unsigned char *areas = calloc (2, size);
  CLEANUP_FREE char *text = NULL;
  CLEANUP_JSON json_t *metadata = NULL;

  if (areas == NULL || pread (luks->fd, areas, size, 0) != (ssize_t) size)
    return false;
  metadata = luks_area_json (areas, size);
  if (metadata == NULL || !change_json (metadata, keyslot, key, iterations))
    return false;
  text = json_dumps (metadata, JSON_COMPACT);
  return text != NULL && strlen (text) < size - LUKS2_JSON_OFFSET &&
    fill (luks, areas, 0, text) && fill (luks, &areas[size], size, text) &&
    pwrite (luks->fd, areas, 2 * size, 0) == (ssize_t) (2 * size);
}

bool
luks_make_digest_cheap (const struct luks *luks, int keyslot,
                        const struct secret *volume_key, uint32_t iterations)
{
  return luks->info.version == 1
    ? change_luks1 (luks, volume_key, iterations)
    : change_luks2 (luks, keyslot, volume_key, iterations);
}
