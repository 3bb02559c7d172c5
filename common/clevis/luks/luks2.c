/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What is in a LUKS2 header, from the JSON that libcryptsetup has read and
 * validated.  Source: LUKS2 On-Disk Format Specification 1.1.1, section 3.
 */

#include <config.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "luks/luks-kdf.h"
#include "luks/luks-object.h"
#include "luks/luks-read.h"

static const char *
get_string (const json_t *obj, const char *name, const char *missing)
{
  const char *s = json_string_value (json_object_get (obj, name));

  return s ? s : missing;
}

/* A JSON number as uint32_t; out of range is the largest, which no limit
 * lets pass.
 */
static uint32_t
get_u32 (const json_t *obj, const char *name)
{
  json_int_t v = json_integer_value (json_object_get (obj, name));

  return v < 0 || v > UINT32_MAX ? UINT32_MAX : (uint32_t) v;
}

/* LUKS2 writes 64-bit numbers as strings (section 3.1).  -1 if it is none. */
static int
get_u64 (const json_t *obj, const char *name, uint64_t *v)
{
  const char *s = get_string (obj, name, "");
  char *end;

  if (*s < '0' || *s > '9')
    return -1;
  errno = 0;
  *v = strtoumax (s, &end, 10);
  return errno == 0 && *end == '\0' ? 0 : -1;
}

/* The number that is an object's key; -1 if it is none. */
static int
key_number (const char *key)
{
  char *end;
  unsigned long v;

  if (*key < '0' || *key > '9')
    return -1;
  v = strtoul (key, &end, 10);
  return *end == '\0' && v < LUKS_TOKENS_MAX ? (int) v : -1;
}

static bool
is_null_cipher (const char *cipher)
{
  return strncmp (cipher, "cipher_null", strlen ("cipher_null")) == 0;
}

/* A requirement says that old software must leave the device alone.  None is
 * known to us, and reencryption in progress cannot be opened read-only.
 */
static int
check_requirements (const json_t *json, struct clevis_error *err)
{
  const json_t *mandatory = json_object_get (
    json_object_get (json_object_get (json, "config"), "requirements"),
    "mandatory");
  const char *name = json_string_value (json_array_get (mandatory, 0));

  if (json_array_size (mandatory) == 0)
    return 0;
  clevis_error_set (err, CLEVIS_ERR_HEADER,
                    _("the LUKS2 header has the requirement \"%s\", "
                      "which is not supported"), name ? name : "?");
  if (name && strncmp (name, "online-reencrypt", 16) == 0)
    clevis_error_hint (err, _("Let the guest finish its reencryption first "
                              "(cryptsetup reencrypt --resume-only)."));
  return -1;
}

/* What is unusual about how the data are encrypted (sections 3.3 and 3.3.1), or
 * NULL; read_segments has looked at offset, luks-data.c looks at the cipher.
 * "crypt" is the only type that is decrypted by nothing but the volume key.
 *
 * By the specification iv_tweak is added to the number of a sector.  cryptsetup
 * (2.6) opens such a device without doing that, so what is inside of it depends
 * on who looks.  Everybody writes 0.
 */
static const char *
read_data (struct luks *luks, const json_t *segments, const json_t *first)
{
  const char *size = get_string (first, "size", "");
  uint64_t iv_tweak;

  if (json_object_size (segments) != 1)
    return _("it has more than one segment");
  if (strcmp (get_string (first, "type", ""), "crypt") != 0 ||
      json_array_size (json_object_get (first, "flags")) > 0)
    return _("its segment is of an unusual kind");
  if (json_object_get (first, "integrity"))
    return _("it has integrity protection");
  if (get_u64 (first, "iv_tweak", &iv_tweak) == -1 || iv_tweak != 0)
    return _("its initial vectors do not begin with 0");
  if (strcmp (size, "dynamic") != 0 &&
      (get_u64 (first, "size", &luks->data_size) == -1 ||
       luks->data_size == 0))
    return _("its segment has an unusual size");
  return NULL;
}

static int
read_segments (struct luks *luks, struct clevis_error *err)
{
  json_t *segments = json_object_get (luks->json, "segments");
  const json_t *first = json_object_get (segments, "0");
  const char *name;
  json_t *segment;

  json_object_foreach (segments, name, segment) {
    if (is_null_cipher (get_string (segment, "encryption", "")))
      return clevis_error_set (err, CLEVIS_ERR_HEADER,
                               _("segment %s has the cipher \"%s\", which "
                                 "encrypts nothing"), name,
                               get_string (segment, "encryption", ""));
  }
  luks->info.cipher = get_string (first, "encryption", "");
  luks->info.sector_size = get_u32 (first, "sector_size");
  if (get_u64 (first, "offset", &luks->info.data_offset) == -1)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("the LUKS2 header has no data segment"));
  luks->data_obstacle = read_data (luks, segments, first);
  return 0;
}

/* Bytes that a text in base64 stands for. */
static size_t
decoded_size (const char *text)
{
  const size_t len = strcspn (text, "=");

  return len / 4 * 3 + len % 4 * 3 / 4;
}

/* libcryptsetup 2.6 takes a digest for right whose hash it cannot compute, and
 * one of no bytes: any passphrase then opens the keyslot.
 */
static int
read_digests (struct luks *luks, struct clevis_error *err)
{
  const char *name, *hash;
  json_t *digest;

  json_object_foreach (json_object_get (luks->json, "digests"), name, digest) {
    hash = get_string (digest, "hash", "");
    if (strcmp (get_string (digest, "type", ""), "pbkdf2") != 0 ||
        !luks_knows_hash (hash) ||
        decoded_size (get_string (digest, "digest", "")) < BOUND_DIGEST_MIN)
      return clevis_error_set (err, CLEVIS_ERR_HEADER,
                               _("digest %s of the volume key (hash \"%s\") is "
                                 "of a kind that is not supported"),
                               name, hash);
    luks_note_digest (luks, hash, get_u32 (digest, "iterations"));
  }
  return 0;
}

static const char *
priority_name (const json_t *keyslot)
{
  const json_t *priority = json_object_get (keyslot, "priority");

  if (!json_is_integer (priority))
    return "normal";
  switch (json_integer_value (priority)) {
  case 0: return "ignore";
  case 2: return "prefer";
  default: return "normal";
  }
}

/* Is the string in the array? */
static bool
contains (const json_t *array, const char *name)
{
  const char *s;
  size_t i;

  for (i = 0; i < json_array_size (array); ++i) {
    s = json_string_value (json_array_get (array, i));
    if (s && strcmp (s, name) == 0)
      return true;
  }
  return false;
}

/* Does the keyslot hold the key of the data?  Others ("unbound" ones) hold
 * keys that somebody stored there; passphrases open them, too.
 */
static bool
holds_data_key (const struct luks *luks, int slot)
{
  const char *name;
  json_t *digest;
  char number[16];

  snprintf (number, sizeof number, "%d", slot);
  json_object_foreach (json_object_get (luks->json, "digests"), name, digest) {
    if (contains (json_object_get (digest, "keyslots"), number) &&
        contains (json_object_get (digest, "segments"), "0"))
      return true;
  }
  return false;
}

static void
read_keyslot (struct luks *luks, int slot, const json_t *json)
{
  struct luks_keyslot *k = &luks->keyslots[luks->nr_keyslots++];
  const json_t *kdf = json_object_get (json, "kdf");

  k->slot = slot;
  k->kdf = get_string (kdf, "type", "?");
  k->hash = get_string (kdf, "hash", NULL);
  if (strcmp (k->kdf, "pbkdf2") == 0)
    k->iterations = get_u32 (kdf, "iterations");
  else {
    k->iterations = get_u32 (kdf, "time");
    k->memory = get_u32 (kdf, "memory");
    k->threads = get_u32 (kdf, "cpus");
  }
  k->cipher = get_string (json_object_get (json, "area"), "encryption", "?");
  k->key_size = get_u32 (json, "key_size");
  k->area_key_size = get_u32 (json_object_get (json, "area"), "key_size");
  k->priority = priority_name (json);
  if (is_null_cipher (k->cipher))
    k->refused = _("its key is stored in clear (cipher_null)");
  else if (!holds_data_key (luks, slot))
    k->refused = _("its key is not the key of the data");
  if (luks->info.key_size == 0 && k->refused == NULL)
    luks->info.key_size = k->key_size;
}

/* Keyslots of type "reencrypt" hold no key. */
static void
read_keyslots (struct luks *luks)
{
  const json_t *keyslots = json_object_get (luks->json, "keyslots");
  const json_t *keyslot;
  char name[16];
  int slot;

  for (slot = 0; slot < LUKS_KEYSLOTS_MAX; ++slot) {
    snprintf (name, sizeof name, "%d", slot);
    keyslot = json_object_get (keyslots, name);
    if (strcmp (get_string (keyslot, "type", ""), "luks2") == 0)
      read_keyslot (luks, slot, keyslot);
  }
}

/* The keyslots of a token, from an array of numbers in strings. */
static int
read_token_keyslots (struct luks *luks, struct luks_token *token,
                     struct clevis_error *err)
{
  const json_t *array = json_object_get (token->json, "keyslots");
  size_t i, n = json_array_size (array);
  const char *s;
  int *slots, slot;

  if (n > LUKS_KEYSLOTS_MAX)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("token %d names %zu keyslots"), token->id, n);
  slots = luks_own (luks, calloc (n + 1, sizeof *slots));
  if (slots == NULL)
    return clevis_error_errno (err, errno, _("token %d"), token->id);
  for (i = 0; i < n; ++i) {
    s = json_string_value (json_array_get (array, i));
    slot = s ? key_number (s) : -1;
    if (slot >= 0)
      slots[token->nr_keyslots++] = slot;
  }
  token->keyslots = slots;
  return 0;
}

static int
read_tokens (struct luks *luks, struct clevis_error *err)
{
  const json_t *tokens = json_object_get (luks->json, "tokens");
  struct luks_token *token;
  const json_t *json;
  char name[16];
  int id;

  for (id = 0; id < LUKS_TOKENS_MAX; ++id) {
    snprintf (name, sizeof name, "%d", id);
    json = json_object_get (tokens, name);
    if (json == NULL)
      continue;
    token = &luks->tokens[luks->nr_tokens++];
    token->id = id;
    token->json = json;
    token->type = get_string (json, "type", "?");
    if (strcmp (token->type, "clevis") == 0)
      token->jwe = json_object_get (json, "jwe");
    if (read_token_keyslots (luks, token, err) == -1)
      return -1;
  }
  return 0;
}

/* Ask for the area of a keyslot.  libcryptsetup has checked that it lies
 * behind the metadata and within the keyslots area; it is checked again
 * because memory is taken for it here.
 */
static int
want_area (struct luks *luks, int slot, uint64_t *total,
           struct clevis_error *err)
{
  const uint64_t end = 2 * BOUND_LUKS2_METADATA + BOUND_LUKS2_KEYSLOTS;
  uint64_t offset, size;
  const json_t *area;
  char name[16];

  snprintf (name, sizeof name, "%d", slot);
  area = json_object_get (json_object_get (json_object_get (luks->json,
                                                            "keyslots"),
                                           name), "area");
  if (get_u64 (area, "offset", &offset) == -1 ||
      get_u64 (area, "size", &size) == -1)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("keyslot %d has no area"), slot);
  if (offset > end || size > end - offset ||
      *total + size > BOUND_LUKS2_KEYSLOTS)
    return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                             _("the area of keyslot %d (%" PRIu64 " bytes at "
                               "%" PRIu64 ") is outside any LUKS2 header"),
                             slot, size, offset);
  *total += size;
  return luks_want (luks, offset, size, err);
}

/* The areas that verification will read: those of keyslots with a Clevis
 * token, each once.
 */
static int
want_bound_areas (struct luks *luks, struct clevis_error *err)
{
  bool bound[LUKS_KEYSLOTS_MAX] = { false };
  uint64_t total = 0;
  size_t i, j;
  int slot;

  for (i = 0; i < luks->nr_tokens; ++i)
    if (luks->tokens[i].jwe)
      for (j = 0; j < luks->tokens[i].nr_keyslots; ++j)
        bound[luks->tokens[i].keyslots[j]] = true;
  for (slot = 0; slot < LUKS_KEYSLOTS_MAX; ++slot)
    if (bound[slot] && luks_keyslot (luks, slot) &&
        want_area (luks, slot, &total, err) == -1)
      return -1;
  return 0;
}

int
luks2_read (struct luks *luks, struct clevis_error *err)
{
  const char *text, *s;
  json_error_t jerr;

  if (crypt_dump_json (luks->context.cd, &text, 0) < 0)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("the LUKS2 metadata cannot be read"));
  luks->json = json_loads (text, JSON_REJECT_DUPLICATES, &jerr);
  if (luks->json == NULL)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("the LUKS2 metadata is not valid JSON: %s"),
                             jerr.text);
  s = crypt_get_uuid (luks->context.cd);
  luks->info.uuid = s ? s : "";
  s = crypt_get_label (luks->context.cd);
  luks->info.label = s ? s : "";

  if (check_requirements (luks->json, err) == -1 ||
      read_segments (luks, err) == -1 || read_digests (luks, err) == -1)
    return -1;
  read_keyslots (luks);
  if (read_tokens (luks, err) == -1)
    return -1;
  return want_bound_areas (luks, err);
}
