/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * LUKS devices for the unit tests; see testlib-luks.h.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libcryptsetup.h>
#include <luksmeta.h>
#include <openssl/sha.h>

#include "base/bounds.h"
#include "luks/luks1-format.h"
#include "luks/luks2-format.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"

static const luksmeta_uuid_t clevis_uuid = LUKS1_CLEVIS_UUID;

static void
be_quiet (int level, const char *msg, void *opaque)
{
}

/* A new or an existing file as a device of libcryptsetup. */
static struct crypt_device *
open_device (const char *file, const char *type)
{
  struct crypt_device *cd;

  crypt_metadata_locking (NULL, 0);
  crypt_token_external_disable ();
  assert_int_equal (crypt_init (&cd, file), 0);
  crypt_set_log_callback (cd, be_quiet, NULL);
  if (type)
    assert_int_equal (crypt_load (cd, type, NULL), 0);
  return cd;
}

/* Room for seven keyslots with a volume key of 32 bytes. */
#define LUKS2_KEYSLOTS (1024 * KIB)

/* So cheap that libcryptsetup must be told not to know better. */
static const struct crypt_pbkdf_type cheap = {
  .type = CRYPT_KDF_PBKDF2, .hash = "sha256", .iterations = 1000,
  .flags = CRYPT_PBKDF_NO_BENCHMARK,
};

static void
make_file (const char *file, uint64_t size)
{
  int fd = open (file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

  if (fd == -1 || ftruncate (fd, size) == -1)
    fail_msg ("%s: %s", file, strerror (errno));
  close (fd);
}

static void
add_keyslots (struct crypt_device *cd, const char *const *passphrases)
{
  int slot;

  for (slot = 0; passphrases[slot]; ++slot)
    assert_int_equal (crypt_keyslot_add_by_volume_key (
                        cd, slot, NULL, 0, passphrases[slot],
                        strlen (passphrases[slot])), slot);
  crypt_free (cd);
}

void
make_luks1 (const char *file, const char *const *passphrases)
{
  struct crypt_params_luks1 params = { .hash = "sha256" };
  struct crypt_device *cd;

  make_file (file, 4 * MIB);
  cd = open_device (file, NULL);
  assert_int_equal (crypt_set_pbkdf_type (cd, &cheap), 0);
  assert_int_equal (crypt_format (cd, CRYPT_LUKS1, "aes", "xts-plain64", NULL,
                                  NULL, 32, &params), 0);
  add_keyslots (cd, passphrases);
}

void
make_luks2 (const char *file, const char *const *passphrases,
            uint64_t metadata)
{
  struct crypt_params_luks2 params = { .pbkdf = &cheap, .sector_size = 512 };
  const uint64_t offset = 2 * metadata + LUKS2_KEYSLOTS;
  struct crypt_device *cd;

  make_file (file, offset + 512 * KIB);
  cd = open_device (file, NULL);
  assert_int_equal (crypt_set_pbkdf_type (cd, &cheap), 0);
  assert_int_equal (crypt_set_metadata_size (cd, metadata, LUKS2_KEYSLOTS), 0);
  assert_int_equal (crypt_set_data_offset (cd, offset / 512), 0);
  assert_int_equal (crypt_format (cd, CRYPT_LUKS2, "aes", "xts-plain64", NULL,
                                  NULL, 32, &params), 0);
  add_keyslots (cd, passphrases);
}

void
add_unbound_keyslot (const char *file, int slot, const char *passphrase,
                     size_t key_size)
{
  struct crypt_device *cd = open_device (file, CRYPT_LUKS2);

  assert_int_equal (crypt_set_pbkdf_type (cd, &cheap), 0);
  assert_int_equal (crypt_keyslot_add_by_key (
                      cd, slot, NULL, key_size, passphrase,
                      strlen (passphrase), CRYPT_VOLUME_KEY_NO_SEGMENT),
                    slot);
  crypt_free (cd);
}

void
add_token (const char *file, const json_t *token)
{
  struct crypt_device *cd = open_device (file, CRYPT_LUKS2);
  CLEANUP_FREE char *text = json_dumps (token, 0);

  assert_true (crypt_token_json_set (cd, CRYPT_ANY_TOKEN, text) >= 0);
  crypt_free (cd);
}

void
bind_luks (const char *file, int keyslot, const json_t *jwe)
{
  struct crypt_device *cd = open_device (file, NULL);
  CLEANUP_JSON json_t *text = NULL;
  int version, r;

  assert_int_equal (crypt_load (cd, CRYPT_LUKS, NULL), 0);
  version = strcmp (crypt_get_type (cd), CRYPT_LUKS1) == 0 ? 1 : 2;
  if (version == 1) {
    r = luksmeta_init (cd);
    assert_true (r == 0 || r == -EALREADY);
    text = compact (jwe);
    assert_int_equal (luksmeta_save (cd, keyslot, clevis_uuid,
                                     json_string_value (text),
                                     json_string_length (text)), keyslot);
  }
  crypt_free (cd);
  if (version == 2) {
    char number[16];

    snprintf (number, sizeof number, "%d", keyslot);
    text = json_pack ("{s:s, s:[s], s:O}", "type", "clevis", "keyslots",
                      number, "jwe", jwe);
    add_token (file, text);
  }
}

void
bind_luks_tang (const char *file, int keyslot, const json_t *key,
                const char *url, const char *passphrase)
{
  CLEANUP_JSON json_t *jwe = encrypt_tang (url, key, passphrase,
                                           strlen (passphrase));

  bind_luks (file, keyslot, jwe);
}

/* For encrypt_sss. */
struct servers {
  const json_t *key;
  const char *const *urls;
};

static json_t *
tang_child (size_t i, const unsigned char *share, size_t len, void *opaque)
{
  const struct servers *servers = opaque;

  return encrypt_tang (servers->urls[i], servers->key, share, len);
}

void
bind_luks_sss (const char *file, int keyslot, const json_t *key, int t,
               const char *const *urls, size_t n, const char *passphrase)
{
  struct servers servers = { .key = key, .urls = urls };
  CLEANUP_JSON json_t *jwe = encrypt_sss (t, n, tang_child, &servers,
                                          passphrase, strlen (passphrase));

  bind_luks (file, keyslot, jwe);
}

void
poke (const char *file, uint64_t offset, const void *data, size_t len)
{
  int fd = open (file, O_WRONLY | O_CLOEXEC);

  if (fd == -1 || pwrite (fd, data, len, offset) != (ssize_t) len)
    fail_msg ("%s: %s", file, strerror (errno));
  close (fd);
}

unsigned char
peek_byte (const char *file, uint64_t offset)
{
  int fd = open (file, O_RDONLY | O_CLOEXEC);
  unsigned char c;

  if (fd == -1 || pread (fd, &c, 1, offset) != 1)
    fail_msg ("%s: %s", file, strerror (errno));
  close (fd);
  return c;
}

void
wipe (const char *file, uint64_t offset, size_t len)
{
  CLEANUP_FREE char *zeroes = calloc (1, len);

  poke (file, offset, zeroes, len);
}

/* Replace the JSON of one metadata area. */
static void
put_json (const char *file, uint64_t offset, size_t size, const char *text)
{
  CLEANUP_FREE unsigned char *area = calloc (1, size);
  struct luks2_header *header = (void *) area;
  int fd = open (file, O_RDONLY | O_CLOEXEC);

  assert_int_equal (pread (fd, area, LUKS2_JSON_OFFSET, offset),
                    LUKS2_JSON_OFFSET);
  close (fd);
  assert_true (LUKS2_JSON_OFFSET + strlen (text) < size);
  memcpy (area + LUKS2_JSON_OFFSET, text, strlen (text));
  memset (header->checksum, 0, sizeof header->checksum);
  SHA256 (area, size, header->checksum);
  poke (file, offset, area, size);
}

void
edit_luks2 (const char *file, void (*edit) (json_t *json, void *opaque),
            void *opaque)
{
  CLEANUP_FREE char *bytes = read_file (file, NULL), *text = NULL;
  CLEANUP_JSON json_t *json = NULL;
  const struct luks2_header *header = (const void *) bytes;
  const size_t size = be64toh (header->size);

  json = json_loads (bytes + LUKS2_JSON_OFFSET, 0, NULL);
  assert_non_null (json);
  edit (json, opaque);
  text = json_dumps (json, JSON_COMPACT);
  put_json (file, 0, size, text);
  put_json (file, size, size, text);
}

struct luks *
load_luks (const char *file, enum luks_state *state, struct clevis_error *err)
{
  int fd = open (file, O_RDONLY | O_CLOEXEC);
  struct luks_extent ext;
  struct luks *luks;
  struct stat st;
  ssize_t r;

  if (fd == -1 || fstat (fd, &st) == -1)
    fail_msg ("%s: %s", file, strerror (errno));
  luks = luks_new (file, st.st_size);
  assert_non_null (luks);
  while ((*state = luks_next (luks, &ext, err)) == LUKS_NEED) {
    CLEANUP_FREE char *buf = malloc (ext.length);

    r = pread (fd, buf, ext.length, ext.offset);
    assert_true (r >= 0);
    assert_int_equal (luks_supply (luks, ext.offset, buf, r, err), 0);
  }
  close (fd);
  return luks;
}

struct luks *
ready_luks (const char *file)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  enum luks_state state;
  struct luks *luks = load_luks (file, &state, &err);

  assert_no_error (&err);
  assert_int_equal (state, LUKS_READY);
  return luks;
}
