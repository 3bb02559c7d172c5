/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * What is in a LUKS1 header, and the Clevis bindings that luksmeta keeps in
 * the gap between the key material and the payload.  Source: LUKS On-Disk
 * Format Specification 1.2.3, luksmeta(8), clevis-luks-bind(1).
 */

#include <config.h>

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <luksmeta.h>

#include "base/bounds.h"
#include "base/cleanups.h"
#include "base/gettext-compat.h"
#include "luks/luks-object.h"
#include "luks/luks-read.h"
#include "luks/luks1-format.h"

static const luksmeta_uuid_t clevis_uuid = LUKS1_CLEVIS_UUID;

static int
read_info (struct luks *luks, struct clevis_error *err)
{
  const char *cipher = crypt_get_cipher (luks->context.cd);
  const char *mode = crypt_get_cipher_mode (luks->context.cd);
  const char *uuid = crypt_get_uuid (luks->context.cd);

  if (cipher == NULL || mode == NULL)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("the LUKS1 header names no cipher"));
  if (strncmp (cipher, "cipher_null", strlen ("cipher_null")) == 0)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("the cipher is \"%s\", which encrypts "
                               "nothing"), cipher);
  luks->info.uuid = uuid ? uuid : "";
  luks->info.label = "";
  luks->info.cipher = luks_own_printf (luks, "%s-%s", cipher, mode);
  luks->info.key_size = crypt_get_volume_key_size (luks->context.cd);
  luks->info.sector_size = LUKS1_SECTOR;
  luks->info.data_offset = crypt_get_data_offset (luks->context.cd) *
    LUKS1_SECTOR;
  if (luks->info.data_offset == 0)
    luks->data_obstacle = _("its header is a detached one");
  if (luks->info.cipher == NULL)
    return clevis_error_errno (err, errno, _("LUKS1 header"));
  return 0;
}

static int
read_keyslots (struct luks *luks, struct clevis_error *err)
{
  struct crypt_pbkdf_type pbkdf;
  struct luks_keyslot *k;
  const char *hash = NULL;
  uint32_t be;
  int slot;

  for (slot = 0; slot < LUKS1_KEYSLOTS; ++slot) {
    switch (crypt_keyslot_status (luks->context.cd, slot)) {
    case CRYPT_SLOT_ACTIVE:
    case CRYPT_SLOT_ACTIVE_LAST:
      break;
    default:
      continue;
    }
    k = &luks->keyslots[luks->nr_keyslots++];
    k->slot = slot;
    k->kdf = "pbkdf2";
    k->cipher = luks->info.cipher;
    k->key_size = luks->info.key_size;
    k->area_key_size = k->key_size;
    k->priority = "normal";
    if (crypt_keyslot_get_pbkdf (luks->context.cd, slot, &pbkdf) < 0)
      return clevis_error_set (err, CLEVIS_ERR_HEADER,
                               _("keyslot %d cannot be read"), slot);
    k->iterations = pbkdf.iterations;
    k->hash = luks_own (luks, strdup (pbkdf.hash));
    hash = k->hash;             /* one for all */
  }

  if (pread (luks->fd, &be, sizeof be,
             offsetof (struct luks1_header, digest_iterations)) == sizeof be)
    luks_note_digest (luks, hash, be32toh (be));
  return 0;
}

/* The JWE of one luksmeta slot as a JSON string, or NULL with an error. */
static json_t *
load_jwe (struct luks *luks, int slot, int size, struct clevis_error *err)
{
  CLEANUP_FREE char *buf = NULL;
  luksmeta_uuid_t uuid;
  json_t *jwe;

  if (size < 0 || (unsigned) size > BOUND_JWE) {
    clevis_error_set (err, CLEVIS_ERR_LIMIT,
                      _("luksmeta slot %d holds %d bytes"), slot, size);
    return NULL;
  }
  buf = malloc (size + 1);
  if (buf == NULL) {
    clevis_error_errno (err, errno, _("luksmeta slot %d"), slot);
    return NULL;
  }
  size = luksmeta_load (luks->context.cd, slot, uuid, buf, size);
  if (size < 0) {
    clevis_error_set (err, CLEVIS_ERR_HEADER,
                      _("luksmeta slot %d cannot be read: %s"), slot,
                      strerror (-size));
    return NULL;
  }
  while (size > 0 && (buf[size-1] == '\n' || buf[size-1] == '\0'))
    size--;
  jwe = json_stringn (buf, size);
  if (jwe == NULL)
    clevis_error_set (err, CLEVIS_ERR_TOKEN,
                      _("luksmeta slot %d does not hold a JWE"), slot);
  return jwe;
}

static const char *
uuid_type (struct luks *luks, const luksmeta_uuid_t u)
{
  return luks_own_printf (luks, "luksmeta-%02x%02x%02x%02x-%02x%02x-"
                          "%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
                          u[0], u[1], u[2], u[3], u[4], u[5], u[6], u[7],
                          u[8], u[9], u[10], u[11], u[12], u[13], u[14],
                          u[15]);
}

/* Read one luksmeta slot as a token.  A slot that cannot be read becomes a
 * Clevis token without a JWE and a reason in stale, so that the others can
 * still serve.
 */
static int
read_token (struct luks *luks, int slot, struct clevis_error *err)
{
  CLEANUP_ERROR struct clevis_error why = CLEVIS_ERROR_INIT;
  struct luks_token *token;
  luksmeta_uuid_t uuid;
  json_t *jwe;
  char name[16];
  int *slots, size;

  size = luksmeta_load (luks->context.cd, slot, uuid, NULL, 0);
  if (size == -ENODATA)
    return 0;
  slots = luks_own (luks, malloc (sizeof *slots));
  if (slots == NULL)
    return clevis_error_errno (err, errno, _("luksmeta slot %d"), slot);
  *slots = slot;
  token = &luks->tokens[luks->nr_tokens++];
  token->id = slot;
  token->keyslots = slots;
  token->nr_keyslots = 1;
  token->type = "clevis";
  if (size >= 0 && memcmp (uuid, clevis_uuid, sizeof clevis_uuid) != 0) {
    token->type = uuid_type (luks, uuid);
    return token->type ? 0
      : clevis_error_errno (err, errno, _("luksmeta slot %d"), slot);
  }

  jwe = size < 0 ? NULL : load_jwe (luks, slot, size, &why);
  snprintf (name, sizeof name, "%d", slot);
  if (jwe && json_object_set_new (luks->json, name, jwe) == 0)
    token->jwe = jwe;
  else {
    token->stale = luks_own_printf (luks, "%s", why.message ? why.message
                                    : _("its luksmeta slot is damaged"));
    if (token->stale == NULL)
      return clevis_error_errno (err, errno, _("luksmeta slot %d"), slot);
  }
  return 0;
}

int
luks1_read (struct luks *luks, struct clevis_error *err)
{
  int slot, r;

  /* An offset of luksmeta that points outside of the copy finds the end of the
   * file.  It is sealed already if it is loaded again.
   */
  if ((fcntl (luks->fd, F_GET_SEALS) & F_SEAL_SEAL) == 0 &&
      fcntl (luks->fd, F_ADD_SEALS,
             F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1)
    return clevis_error_errno (err, errno, _("memory for the header"));
  luks->json = json_object ();
  if (luks->json == NULL)
    return clevis_error_errno (err, ENOMEM, _("LUKS1 header"));

  if (read_info (luks, err) == -1 || read_keyslots (luks, err) == -1)
    return -1;
  r = luksmeta_test (luks->context.cd);
  if (r < 0 && r != -ENOENT)
    luks->info.note = _("the luksmeta header is damaged, bindings in it "
                        "cannot be read");
  if (r < 0)
    return 0;
  for (slot = 0; slot < LUKS1_KEYSLOTS; ++slot)
    if (read_token (luks, slot, err) == -1)
      return -1;
  return 0;
}
