/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Decrypting data with OpenSSL.  The volume key, and what is made of it, is in
 * locked memory only.
 */

#include <config.h>

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/bounds.h"
#include "base/gettext-compat.h"
#include "luks/luks-cost.h"
#include "luks/luks-data.h"
#include "luks/luks-object.h"

/* Initial vectors, and the offsets of LUKS, count these, whatever the size of
 * the sectors that are encrypted as one is.
 */
#define UNIT 512
#define SECTOR_MAX 4096         /* bytes, of LUKS2 */

#define BLOCK 16                /* bytes, of AES */

/* How the number of a sector becomes an initial vector. */
enum iv {
  IV_PLAIN,                /* 32 bits of it, the low byte first */
  IV_PLAIN64,              /* 64 bits of it */
  IV_ESSIV,                /* these, encrypted with the hash of the key */
};

/* LUKS says how data are encrypted in the words of dm-crypt; OpenSSL has words
 * of its own.
 */
static const struct cipher {
  const char *name;        /* of LUKS */
  size_t key_size;         /* bytes; XTS has two keys */
  const char *openssl;
  enum iv iv;
} ciphers[] = {
  { "aes-xts-plain64", 32, "AES-128-XTS", IV_PLAIN64 },
  { "aes-xts-plain64", 64, "AES-256-XTS", IV_PLAIN64 },
  { "aes-xts-plain", 32, "AES-128-XTS", IV_PLAIN },
  { "aes-xts-plain", 64, "AES-256-XTS", IV_PLAIN },
  { "aes-cbc-plain64", 16, "AES-128-CBC", IV_PLAIN64 },
  { "aes-cbc-plain64", 32, "AES-256-CBC", IV_PLAIN64 },
  { "aes-cbc-plain", 16, "AES-128-CBC", IV_PLAIN },
  { "aes-cbc-plain", 32, "AES-256-CBC", IV_PLAIN },
  { "aes-cbc-essiv:sha256", 16, "AES-128-CBC", IV_ESSIV },
  { "aes-cbc-essiv:sha256", 32, "AES-256-CBC", IV_ESSIV },
};

static int
unsupported (struct clevis_error *err, const char *why)
{
  return clevis_error_set (err, CLEVIS_ERR_UNSUPPORTED,
                           _("what is inside cannot be decrypted here: %s"),
                           why);
}

static const struct cipher *
find_cipher (const char *name, size_t key_size, struct clevis_error *err)
{
  size_t i;

  for (i = 0; i < sizeof ciphers / sizeof ciphers[0]; ++i)
    if (strcmp (ciphers[i].name, name) == 0 &&
        ciphers[i].key_size == key_size)
      return &ciphers[i];
  clevis_error_set (err, CLEVIS_ERR_UNSUPPORTED,
                    _("what is inside cannot be decrypted here: its cipher is "
                      "%s with a key of %zu bytes"), name, key_size);
  return NULL;
}

int
luks_data_extent (const struct luks *luks, struct luks_data_extent *extent,
                  struct clevis_error *err)
{
  const struct luks_info *info = &luks->info;
  const uint32_t sector = info->sector_size;
  uint64_t length;

  if (luks->data_obstacle)
    return unsupported (err, luks->data_obstacle);
  if (find_cipher (info->cipher, info->key_size, err) == NULL)
    return -1;
  if (sector < UNIT || sector > SECTOR_MAX || (sector & (sector - 1)) != 0 ||
      info->data_offset % UNIT != 0 || luks->data_size % sector != 0)
    return unsupported (err, _("its sectors have an unusual size or place"));
  /* Whole sectors of what there is, if it goes to the end. */
  length = info->data_offset < luks->size
    ? (luks->size - info->data_offset) / sector * sector : 0;
  if (length == 0 || luks->data_size > length)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("the data, which begin at byte %" PRIu64
                               ", are not all within the device, which has %"
                               PRIu64 " bytes"),
                             info->data_offset, luks->size);
  extent->offset = info->data_offset;
  extent->length = luks->data_size > 0 ? luks->data_size : length;
  extent->sector_size = sector;
  return 0;
}

int
luks_unlock (struct luks *luks, int keyslot, const struct secret *passphrase,
             struct clevis_error *err)
{
  const struct luks_keyslot *k = luks_keyslot (luks, keyslot);

  if (luks->volume_key)
    return 0;
  if (k && !k->refused && (!luks_is_cheap (k) || !luks_digest_is_cheap (luks)))
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("keyslot %d was not verified"), keyslot);
  return luks_verify_and_keep (luks, keyslot, passphrase, err);
}

/* OpenSSL's half of it. */
struct decryptor {
  EVP_CIPHER *cipher, *iv_cipher;
  EVP_CIPHER_CTX *data;
  EVP_CIPHER_CTX *iv;      /* of IV_ESSIV, else NULL */
};

static void
cleanup_decryptor (struct decryptor *d)
{
  EVP_CIPHER_CTX_free (d->data);
  EVP_CIPHER_CTX_free (d->iv);
  EVP_CIPHER_free (d->cipher);
  EVP_CIPHER_free (d->iv_cipher);
}

#define CLEANUP_DECRYPTOR __attribute__ ((cleanup (cleanup_decryptor)))

/* What OpenSSL looks up it keeps, so that is not to be in locked memory. */
static bool
look_up (struct decryptor *d, const struct cipher *cipher)
{
  d->cipher = EVP_CIPHER_fetch (NULL, cipher->openssl, NULL);
  d->iv_cipher = EVP_CIPHER_fetch (NULL, "AES-256-ECB", NULL);
  return d->cipher != NULL && d->iv_cipher != NULL;
}

/* Of essiv:sha256: AES with the hash of the key, whatever size that has. */
static bool
start_essiv (struct decryptor *d, const struct secret *key)
{
  CLEANUP_SECRET struct secret *hash = secret_new (32);

  d->iv = EVP_CIPHER_CTX_new ();
  return hash != NULL && d->iv != NULL &&
    EVP_Digest (key->data, key->len, hash->data, NULL, EVP_sha256 (),
                NULL) == 1 &&
    EVP_EncryptInit_ex (d->iv, d->iv_cipher, NULL, hash->data, NULL) == 1;
}

static bool
start (struct decryptor *d, const struct cipher *cipher,
       const struct secret *key)
{
  d->data = EVP_CIPHER_CTX_new ();
  return d->data != NULL &&
    EVP_DecryptInit_ex (d->data, d->cipher, NULL, key->data, NULL) == 1 &&
    EVP_CIPHER_CTX_set_padding (d->data, 0) == 1 &&
    (cipher->iv != IV_ESSIV || start_essiv (d, key));
}

static bool
make_iv (struct decryptor *d, enum iv kind, uint64_t number,
         unsigned char iv[BLOCK])
{
  const uint64_t le = htole64 (kind == IV_PLAIN ? (uint32_t) number : number);
  int len;

  memset (iv, 0, BLOCK);
  memcpy (iv, &le, sizeof le);
  return kind != IV_ESSIV ||
    (EVP_EncryptUpdate (d->iv, iv, &len, iv, BLOCK) == 1 && len == BLOCK);
}

/* One sector; the key of the context stays. */
static bool
decrypt_sector (struct decryptor *d, const unsigned char iv[BLOCK],
                const unsigned char *data, unsigned char *plain, int size)
{
  int len;

  return EVP_DecryptInit_ex (d->data, NULL, NULL, NULL, iv) == 1 &&
    EVP_DecryptUpdate (d->data, plain, &len, data, size) == 1 && len == size;
}

/* Whole sectors within the data? */
static int
check_piece (const struct luks_data_extent *e, uint64_t offset, size_t len,
             struct clevis_error *err)
{
  if (len > 0 && len <= BOUND_DECRYPT && len % e->sector_size == 0 &&
      offset % e->sector_size == 0 && offset < e->length &&
      len <= e->length - offset)
    return 0;
  return clevis_error_set (err, CLEVIS_ERR_LIMIT,
                           _("%zu bytes at %" PRIu64 " are not whole sectors "
                             "of %" PRIu32 " bytes, too many, or not within "
                             "the data"), len, offset, e->sector_size);
}

int
luks_decrypt (const struct luks *luks, uint64_t offset, const void *data,
              void *plain, size_t len, struct clevis_error *err)
{
  CLEANUP_DECRYPTOR struct decryptor d = { .data = NULL };
  const struct secret *key = luks->volume_key;
  const struct cipher *cipher;
  struct luks_data_extent e;
  unsigned char iv[BLOCK];
  size_t at;
  bool ok;

  if (luks_data_extent (luks, &e, err) == -1 ||
      check_piece (&e, offset, len, err) == -1)
    return -1;
  if (key == NULL)
    return clevis_error_set (err, CLEVIS_ERR_HEADER,
                             _("no keyslot was verified"));
  cipher = find_cipher (luks->info.cipher, key->len, err);
  if (cipher == NULL)
    return -1;
  if (!look_up (&d, cipher))
    return unsupported (err, _("OpenSSL does not have its cipher"));

  SECRET_CRYPTO_SCOPE;
  ok = start (&d, cipher, key);
  for (at = 0; ok && at < len; at += e.sector_size) {
    ok = make_iv (&d, cipher->iv, (offset + at) / UNIT, iv) &&
      decrypt_sector (&d, iv, (const unsigned char *) data + at,
                      (unsigned char *) plain + at, e.sector_size);
  }
  return ok ? 0 : clevis_error_errno (err, ENOMEM, "OpenSSL");
}
