/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of luks.h: which bytes are asked for, what is found in them, and which
 * passphrase a keyslot accepts.  Headers with one broken field each are the
 * business of test-malformed.c.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <fcntl.h>
#include <inttypes.h>
#include <unistd.h>

#include "base/bounds.h"
#include "luks/luks-area.h"
#include "luks/luks-object.h"
#include "luks/luks1-format.h"
#include "luks/luks2-format.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"

static const char *const two[] = { "first", "second", NULL };

static void
cleanup_luks (struct luks **luks)
{
  luks_free (*luks);
}

#define CLEANUP_LUKS __attribute__ ((cleanup (cleanup_luks)))

/* Devices that the tests share and do not change. */
static const char *
plain_luks2 (void)
{
  static const char *file;

  if (file == NULL) {
    file = tmp_path ("luks2.img");
    make_luks2 (file, two, 16 * KIB);
  }
  return file;
}

static const char *
plain_luks1 (void)
{
  static const char *file;

  if (file == NULL) {
    file = tmp_path ("luks1.img");
    make_luks1 (file, two);
  }
  return file;
}

/* A copy to be changed. */
static const char *
copy_of (const char *file)
{
  const char *copy = tmp_path ("copy.img");
  size_t len;
  CLEANUP_FREE char *data = read_file (file, &len);

  write_file (copy, data, len);
  return copy;
}

/* A JWE that can be told from others. */
static json_t *
some_jwe (void)
{
  return encrypt_null ("passphrase", 10);
}

/* Reading the file must end with this error. */
static void
assert_refused (const char *file, enum clevis_code code, const char *message)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  enum luks_state state;
  CLEANUP_LUKS struct luks *luks = load_luks (file, &state, &err);

  assert_int_equal (state, LUKS_ERROR);
  assert_error (&err, code, message);
  assert_string_equal (err.device, file);
}

static void
assert_none (const char *file)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  enum luks_state state;
  CLEANUP_LUKS struct luks *luks = load_luks (file, &state, &err);

  assert_no_error (&err);
  assert_int_equal (state, LUKS_NONE);
}

static void
assert_accepts (struct luks *luks, int slot, const char *passphrase)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SECRET struct secret *s = secret_copy (passphrase,
                                                 strlen (passphrase));

  luks_verify (luks, slot, s, &err);
  assert_no_error (&err);
}

static void
assert_rejects (struct luks *luks, int slot, const char *passphrase,
                enum clevis_code code, const char *message)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SECRET struct secret *s = secret_copy (passphrase,
                                                 strlen (passphrase));

  assert_int_equal (luks_verify (luks, slot, s, &err), -1);
  assert_error (&err, code, message);
}

/* What is fetched. */

/* The extents that are asked for until something else happens, and what that
 * is.  The device is a file, of which only the first len bytes are there.
 */
struct log {
  struct luks_extent ext[64];
  size_t n;
  uint64_t total;
  enum luks_state state;
};

static struct luks *
load_logged (const char *file, uint64_t size, size_t len, struct log *log,
             struct clevis_error *err)
{
  struct luks *luks = luks_new ("/dev/test", size);
  size_t have;
  CLEANUP_FREE char *data = read_file (file, &have);
  struct luks_extent *e;
  size_t n;

  memset (log, 0, sizeof *log);
  len = len < have ? len : have;
  while ((log->state = luks_next (luks, &log->ext[log->n], err)) ==
         LUKS_NEED) {
    e = &log->ext[log->n++];
    assert_true (log->n < 64);
    assert_in_range (e->length, 1, BOUND_EXTENT);
    log->total += e->length;
    n = e->offset >= len ? 0
      : e->length < len - e->offset ? e->length : len - e->offset;
    assert_int_equal (luks_supply (luks, e->offset, data + e->offset, n, err),
                      0);
  }
  return luks;
}

static void
test_first_extent (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_LUKS struct luks *luks = luks_new ("/dev/test", 1 * MIB);
  struct luks_extent ext;

  assert_string_equal (luks_device (luks), "/dev/test");
  assert_int_equal (luks_next (luks, &ext, &err), LUKS_NEED);
  assert_int_equal (ext.offset, 0);
  assert_int_equal (ext.length, 4096);
  /* Asking again changes nothing. */
  assert_int_equal (luks_next (luks, &ext, &err), LUKS_NEED);
  assert_int_equal (ext.offset, 0);
  assert_int_equal (ext.length, 4096);
}

/* Of more than 1 MiB, only the metadata and the area of the bound keyslot. */
static void
test_luks2_fetches_little (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *file = tmp_path ("large.img");
  CLEANUP_JSON json_t *jwe = some_jwe ();
  CLEANUP_LUKS struct luks *luks = NULL;
  struct log log;

  make_luks2 (file, two, 16 * KIB);
  bind_luks (file, 1, jwe);
  luks = load_logged (file, 2 * MIB, SIZE_MAX, &log, &err);
  assert_no_error (&err);
  assert_int_equal (log.state, LUKS_READY);
  assert_int_equal (log.n, 3);
  assert_int_equal (log.ext[1].offset, 4096);
  assert_int_equal (log.ext[1].length, 32 * KIB - 4096);
  assert_int_equal (log.ext[2].offset, 32 * KIB + 128 * KIB);
  assert_int_equal (log.ext[2].length, 128 * KIB);
  assert_accepts (luks, 1, "second");
}

static void
test_luks2_without_binding_fetches_no_keyslot (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct log log;
  CLEANUP_LUKS struct luks *luks = load_logged (plain_luks2 (), 2 * MIB,
                                                SIZE_MAX, &log, &err);

  assert_int_equal (log.state, LUKS_READY);
  assert_int_equal (log.total, 32 * KIB);
}

static void
test_luks1_fetches_up_to_the_payload (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  struct log log;
  CLEANUP_LUKS struct luks *luks = load_logged (plain_luks1 (), 1ULL << 40,
                                                SIZE_MAX, &log, &err);

  assert_no_error (&err);
  assert_int_equal (log.state, LUKS_READY);
  assert_int_equal (log.total, luks_info (luks)->data_offset);
}

/* Where no LUKS header is, little is read to find that out. */
static void
test_other_device (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *file = tmp_path ("other.img");
  CLEANUP_LUKS struct luks *luks = NULL;
  struct log log;

  shell ("head -c 8M /dev/urandom > '%s'", file);
  luks = load_logged (file, 8 * MIB, SIZE_MAX, &log, &err);
  assert_no_error (&err);
  assert_int_equal (log.state, LUKS_NONE);
  assert_in_range (log.total, 4096, 64 * KIB);
}

static void
test_device_that_is_too_small (void **state)
{
  static const uint64_t sizes[] = { 0, 1, 512, 4095 };
  size_t i;

  for (i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    CLEANUP_LUKS struct luks *luks = luks_new ("d", sizes[i]);
    struct luks_extent ext;

    assert_int_equal (luks_next (luks, &ext, &err), LUKS_NONE);
    assert_no_error (&err);
  }
}

/* A device that says it is larger than it is. */
static void
test_device_ends_early (void **state)
{
  static const size_t lengths[] = { 0, 1, 100, 4096, 5000, 20000 };
  const char *files[] = { plain_luks1 (), plain_luks2 () };
  size_t i;

  for (i = 0; i < 2 * sizeof lengths / sizeof lengths[0]; ++i) {
    CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
    size_t len = lengths[i / 2];
    struct log log;
    CLEANUP_LUKS struct luks *luks = load_logged (files[i % 2], 4 * MIB, len,
                                                  &log, &err);

    if (len < 8)
      assert_int_equal (log.state, LUKS_NONE);
    else if (i % 2 == 0 && len >= 4096)
      assert_int_equal (log.state, LUKS_READY);
    else if (i % 2 == 1 && len == 20000)
      assert_int_equal (log.state, LUKS_READY);
    else
      assert_int_equal (log.state, LUKS_ERROR);
  }
}

/* Nothing behind the end of the device is asked for, whatever the header says. */
static void
test_header_beyond_device (void **state)
{
  const uint64_t size = htobe64 (4 * MIB);
  const char *file = copy_of (plain_luks2 ());
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_LUKS struct luks *luks = NULL;
  struct log log;
  size_t i;

  poke (file, 8, (const char *) &size, sizeof size);
  poke (file, 16 * KIB + 8, (const char *) &size, sizeof size);
  luks = load_logged (file, 2 * MIB, SIZE_MAX, &log, &err);
  assert_int_equal (log.state, LUKS_ERROR);
  assert_true (log.n > 1);
  for (i = 0; i < log.n; ++i)
    assert_in_range (log.ext[i].offset, 0, 2 * MIB - 1);
}

static void
test_error_is_final (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *file = copy_of (plain_luks2 ());
  CLEANUP_LUKS struct luks *luks = NULL;
  enum luks_state s;
  struct luks_extent ext;

  wipe (file, 4096, 1000);
  wipe (file, 16 * KIB + 4096, 1000);
  luks = load_luks (file, &s, &err);
  assert_int_equal (s, LUKS_ERROR);
  assert_int_not_equal (luks_next (luks, &ext, &err), LUKS_NEED);
}

/* LUKS2. */

static void
test_luks2_info (void **state)
{
  CLEANUP_LUKS struct luks *luks = ready_luks (plain_luks2 ());
  const struct luks_info *info = luks_info (luks);
  CLEANUP_FREE char *uuid = NULL;

  require_program ("cryptsetup");
  uuid = shell_output ("cryptsetup luksUUID '%s'", plain_luks2 ());
  assert_int_equal (info->version, 2);
  assert_string_equal (info->uuid, uuid);
  assert_string_equal (info->label, "");
  assert_string_equal (info->cipher, "aes-xts-plain64");
  assert_int_equal (info->key_size, 32);
  assert_int_equal (info->sector_size, 512);
  assert_int_equal (info->data_offset, 1056 * KIB);
  assert_null (info->note);
}

static void
test_luks2_keyslots (void **state)
{
  CLEANUP_LUKS struct luks *luks = ready_luks (plain_luks2 ());
  const struct luks_keyslot *k;
  size_t n;

  k = luks_keyslots (luks, &n);
  assert_int_equal (n, 2);
  assert_int_equal (k[0].slot, 0);
  assert_int_equal (k[1].slot, 1);
  assert_string_equal (k[0].kdf, "pbkdf2");
  assert_string_equal (k[0].hash, "sha256");
  assert_int_equal (k[0].iterations, 1000);
  assert_int_equal (k[0].memory, 0);
  assert_string_equal (k[0].cipher, "aes-xts-plain64");
  assert_int_equal (k[0].key_size, 32);
  assert_string_equal (k[0].priority, "normal");
  assert_null (k[0].refused);
  assert_ptr_equal (luks_keyslot (luks, 1), &k[1]);
  assert_null (luks_keyslot (luks, 2));
  assert_null (luks_keyslot (luks, -1));
}

/* The same with what cryptsetup makes. */
static void
test_luks2_of_cryptsetup (void **state)
{
  const char *file = tmp_path ("argon2.img");
  CLEANUP_LUKS struct luks *luks = NULL;
  const struct luks_keyslot *k;
  size_t n;

  require_program ("cryptsetup");
  shell ("truncate -s 20M '%s'\n"
         "echo -n first | cryptsetup luksFormat -q --type luks2 --label Dis "
         "--pbkdf argon2id --pbkdf-memory 32 --pbkdf-parallel 1 "
         "--pbkdf-force-iterations 4 --sector-size 4096 '%s' -\n"
         "cryptsetup config -q --key-slot 0 --priority prefer '%s'",
         file, file, file);
  luks = ready_luks (file);
  k = luks_keyslots (luks, &n);
  assert_int_equal (n, 1);
  assert_string_equal (k[0].kdf, "argon2id");
  assert_null (k[0].hash);
  assert_int_equal (k[0].iterations, 4);
  assert_int_equal (k[0].memory, 32);
  assert_int_equal (k[0].threads, 1);
  assert_string_equal (k[0].priority, "prefer");
  assert_string_equal (luks_info (luks)->label, "Dis");
  assert_int_equal (luks_info (luks)->sector_size, 4096);
  assert_int_equal (luks_info (luks)->key_size, 64);
}

static void
test_luks2_token (void **state)
{
  const char *file = copy_of (plain_luks2 ());
  CLEANUP_JSON json_t *jwe = some_jwe ();
  CLEANUP_LUKS struct luks *luks = NULL;
  const struct luks_token *t;
  size_t n;

  bind_luks (file, 1, jwe);
  luks = ready_luks (file);
  t = luks_tokens (luks, &n);
  assert_int_equal (n, 1);
  assert_int_equal (t[0].id, 0);
  assert_string_equal (t[0].type, "clevis");
  assert_int_equal (t[0].nr_keyslots, 1);
  assert_int_equal (t[0].keyslots[0], 1);
  assert_true (json_equal ((json_t *) t[0].jwe, jwe));
  assert_non_null (t[0].json);
  assert_null (t[0].stale);
}

static void
test_luks2_tokens_of_other_types (void **state)
{
  const char *file = copy_of (plain_luks2 ());
  CLEANUP_JSON json_t *token = json_pack (
    "{s:s, s:[s, s], s:{}, s:s}", "type", "systemd-tpm2", "keyslots", "0",
    "1", "jwe", "x", "y");
  CLEANUP_LUKS struct luks *luks = NULL;
  const struct luks_token *t;
  size_t n;

  add_token (file, token);
  luks = ready_luks (file);
  t = luks_tokens (luks, &n);
  assert_int_equal (n, 1);
  assert_string_equal (t[0].type, "systemd-tpm2");
  assert_int_equal (t[0].nr_keyslots, 2);
  assert_null (t[0].jwe);
  assert_null (t[0].stale);
}

static void
test_luks2_stale_token (void **state)
{
  const char *file = copy_of (plain_luks2 ());
  CLEANUP_JSON json_t *jwe = some_jwe (), *loose = NULL;
  CLEANUP_LUKS struct luks *luks = NULL;
  const struct luks_token *t;
  size_t n;

  bind_luks (file, 1, jwe);
  loose = json_pack ("{s:s, s:[], s:O}", "type", "clevis", "keyslots", "jwe",
                     jwe);
  add_token (file, loose);
  require_program ("cryptsetup");
  shell ("echo -n first | cryptsetup luksKillSlot -q -d - '%s' 1", file);
  luks = ready_luks (file);
  t = luks_tokens (luks, &n);
  assert_int_equal (n, 2);
  /* cryptsetup takes the keyslot out of its tokens, too. */
  assert_contains (t[0].stale, "no keyslot is assigned");
  assert_contains (t[1].stale, "no keyslot is assigned");
}

static void
test_luks2_verify (void **state)
{
  const char *file = copy_of (plain_luks2 ());
  CLEANUP_JSON json_t *jwe = some_jwe ();
  CLEANUP_LUKS struct luks *luks = NULL;

  bind_luks (file, 0, jwe);
  bind_luks (file, 1, jwe);
  luks = ready_luks (file);
  assert_accepts (luks, 0, "first");
  assert_accepts (luks, 1, "second");
  assert_rejects (luks, 0, "second", CLEVIS_ERR_PASSPHRASE, "not accept");
  assert_rejects (luks, 1, "first", CLEVIS_ERR_PASSPHRASE, "not accept");
  assert_rejects (luks, 1, "", CLEVIS_ERR_PASSPHRASE, "not accept");
  assert_rejects (luks, 1, "second\n", CLEVIS_ERR_PASSPHRASE, "not accept");
  assert_rejects (luks, 2, "first", CLEVIS_ERR_HEADER, "does not exist");
  assert_rejects (luks, -1, "first", CLEVIS_ERR_HEADER, "does not exist");
  assert_accepts (luks, 1, "second");
}

/* A keyslot that holds another key than that of the data opens nothing. */
static void
test_luks2_unbound_keyslot (void **state)
{
  static const size_t sizes[] = { 32, 64 };
  size_t i;

  for (i = 0; i < 2; ++i) {
    const char *file = copy_of (plain_luks2 ());
    CLEANUP_JSON json_t *jwe = some_jwe ();
    CLEANUP_LUKS struct luks *luks = NULL;

    add_unbound_keyslot (file, 2, "third", sizes[i]);
    bind_luks (file, 2, jwe);
    luks = ready_luks (file);
    assert_contains (luks_keyslot (luks, 2)->refused, "not the key");
    assert_rejects (luks, 2, "third", CLEVIS_ERR_HEADER, "not the key");
  }
}

static json_t *
keyslot_json (json_t *json, const char *slot)
{
  return json_object_get (json_object_get (json, "keyslots"), slot);
}

static void
set_key_size (json_t *json, void *size)
{
  json_object_set_new (keyslot_json (json, "0"), "key_size",
                       json_integer (*(json_int_t *) size));
}

/* What keyslot 0 says about its key is nothing to keyslot 1. */
static void
test_luks2_key_size_of_another_keyslot (void **state)
{
  json_int_t sizes[] = { 1, 16, 64, 4294967295 };
  size_t i;

  for (i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    const char *file = copy_of (plain_luks2 ());
    CLEANUP_JSON json_t *jwe = some_jwe ();
    CLEANUP_LUKS struct luks *luks = NULL;

    bind_luks (file, 1, jwe);
    edit_luks2 (file, set_key_size, &sizes[i]);
    luks = ready_luks (file);
    assert_accepts (luks, 1, "second");
  }
}

/* A device whose primary header is gone. */
static void
test_luks2_secondary_header (void **state)
{
  static const uint64_t sizes[] = { 16, 32, 64, 128, 256, 512, 1024, 2048,
                                    4096 };
  size_t i;

  for (i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    const char *file = tmp_path ("secondary.img");
    CLEANUP_JSON json_t *jwe = some_jwe ();
    CLEANUP_LUKS struct luks *luks = NULL;

    make_luks2 (file, two, sizes[i] * KIB);
    bind_luks (file, 1, jwe);
    wipe (file, 0, 4096);
    luks = ready_luks (file);
    assert_int_equal (luks_info (luks)->version, 2);
    assert_contains (luks_info (luks)->note, "secondary one was used");
    assert_accepts (luks, 1, "second");
  }
}

/* The primary header is there, but its JSON is not what its checksum says. */
static void
test_luks2_damaged_json (void **state)
{
  const char *file = copy_of (plain_luks2 ());
  CLEANUP_JSON json_t *jwe = some_jwe ();
  CLEANUP_LUKS struct luks *luks = NULL;

  bind_luks (file, 1, jwe);
  poke (file, 4200, "x", 1);
  luks = ready_luks (file);
  assert_contains (luks_info (luks)->note, "primary LUKS2 header is damaged, "
                   "the secondary one was used");
  assert_accepts (luks, 1, "second");
}

/* A checksum that is right is not all. */
static void
test_luks2_primary_without_json (void **state)
{
  const char *file = copy_of (plain_luks2 ());
  CLEANUP_LUKS struct luks *luks = NULL;
  CLEANUP_FREE char *data = NULL;
  size_t len;

  data = read_file (file, &len);
  data[LUKS2_JSON_OFFSET] = 'x';
  assert_true (luks_area_seal ((unsigned char *) data, 16 * KIB));
  poke (file, 0, data, 16 * KIB);
  luks = ready_luks (file);
  assert_contains (luks_info (luks)->note, "primary LUKS2 header");
}

/* So it is with the checksum itself, but not if the secondary is damaged. */
static void
test_luks2_damaged_checksum (void **state)
{
  static const struct {
    uint64_t offset;
    bool primary;
  } cases[] = {
    { offsetof (struct luks2_header, checksum), true },
    { 16 * KIB + offsetof (struct luks2_header, checksum), false },
  };
  size_t i;

  for (i = 0; i < 2; ++i) {
    const char *file = copy_of (plain_luks2 ());
    const unsigned char other = ~peek_byte (file, cases[i].offset);
    CLEANUP_LUKS struct luks *luks = NULL;

    poke (file, cases[i].offset, &other, 1);
    luks = ready_luks (file);
    if (cases[i].primary)
      assert_contains (luks_info (luks)->note, "primary LUKS2 header");
    else
      assert_null (luks_info (luks)->note);
  }
}

static void
test_luks2_both_headers_damaged (void **state)
{
  const char *file = copy_of (plain_luks2 ());

  poke (file, 4200, "x", 1);
  poke (file, 16 * KIB + 4200, "x", 1);
  assert_refused (file, CLEVIS_ERR_HEADER, "damaged LUKS2 header: neither the "
                  "primary nor the secondary one");
}

/* A device that ends within its header: where the whole of it would end, if
 * that can be known.
 */
static void
test_truncated (void **state)
{
  const struct {
    const char *file;
    uint64_t size;
    const char *needed;
  } cases[] = {
    { plain_luks2 (), 4 * KIB + 100, "end before the 32768" },
    { plain_luks2 (), 20 * KIB, "truncated: it has 20480 bytes, and its "
      "LUKS2 header takes at least 1081344" },
    { plain_luks2 (), 300 * KIB, "takes at least 1081344" },
    { plain_luks1 (), 8 * KIB, "truncated" },
  };
  size_t i;

  for (i = 0; i < sizeof cases / sizeof cases[0]; ++i) {
    const char *file = copy_of (cases[i].file);
    char size[64];

    snprintf (size, sizeof size, " has %llu bytes",
              (unsigned long long) cases[i].size);
    assert_int_equal (truncate (file, cases[i].size), 0);
    assert_refused (file, CLEVIS_ERR_HEADER, size);
    assert_refused (file, CLEVIS_ERR_HEADER, cases[i].needed);
  }
}

static void
set_requirement (json_t *json, void *name)
{
  json_object_set_new (json_object_get (json, "config"), "requirements",
                       json_pack ("{s:[s]}", "mandatory", name));
}

static void
test_luks2_unknown_requirement (void **state)
{
  static char name[] = "snake-oil";
  const char *file = copy_of (plain_luks2 ());

  edit_luks2 (file, set_requirement, name);
  assert_refused (file, CLEVIS_ERR_HEADER, "requirement \"snake-oil\"");
}

static void
test_luks2_being_reencrypted (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *file = tmp_path ("reencrypt.img");
  CLEANUP_LUKS struct luks *luks = NULL;
  enum luks_state s;

  require_program ("cryptsetup");
  make_luks2 (file, two, 16 * KIB);
  shell ("echo -n first | cryptsetup reencrypt -q --init-only -d - -S 0 "
         "--force-offline-reencrypt --pbkdf pbkdf2 "
         "--pbkdf-force-iterations 1000 '%s'", file);
  luks = load_luks (file, &s, &err);
  assert_int_equal (s, LUKS_ERROR);
  assert_error (&err, CLEVIS_ERR_HEADER, "online-reencrypt");
  assert_contains (err.hint, "--resume-only");
}

static void
set_segment_cipher (json_t *json, void *cipher)
{
  json_t *segment = json_object_get (json_object_get (json, "segments"), "0");

  json_object_set_new (segment, "encryption", json_string (cipher));
}

static void
test_luks2_null_cipher_of_data (void **state)
{
  static char ciphers[][16] = { "cipher_null-ecb", "cipher_null" };
  size_t i;

  for (i = 0; i < 2; ++i) {
    const char *file = copy_of (plain_luks2 ());

    edit_luks2 (file, set_segment_cipher, ciphers[i]);
    assert_refused (file, CLEVIS_ERR_HEADER, "encrypts nothing");
  }
}

static void
set_keyslot_cipher (json_t *json, void *cipher)
{
  json_object_set_new (json_object_get (keyslot_json (json, "1"), "area"),
                       "encryption", json_string (cipher));
}

static void
test_luks2_null_cipher_of_keyslot (void **state)
{
  static char cipher[] = "cipher_null-ecb";
  const char *file = copy_of (plain_luks2 ());
  CLEANUP_LUKS struct luks *luks = NULL;

  edit_luks2 (file, set_keyslot_cipher, cipher);
  luks = ready_luks (file);
  assert_null (luks_keyslot (luks, 0)->refused);
  assert_contains (luks_keyslot (luks, 1)->refused, "cipher_null");
  assert_rejects (luks, 1, "second", CLEVIS_ERR_HEADER, "stored in clear");
}

/* A header whose JSON would take a gigabyte of memory. */
static void
add_values (json_t *json, void *nr)
{
  json_t *values = json_array ();
  int i;

  for (i = 0; i < *(int *) nr; ++i)
    json_array_append_new (values, json_array ());
  json_object_set_new (json_object_get (json_object_get (json, "tokens"), "0"),
                       "x", values);
}

static void
test_luks2_values (void **state)
{
  CLEANUP_JSON json_t *token = json_pack ("{s:s, s:[]}", "type", "x",
                                          "keyslots");
  static const char *const passphrases[] = { "first", NULL };
  const char *file = tmp_path ("values.img");
  int nr = BOUND_LUKS2_VALUES / 2 - 600;
  CLEANUP_LUKS struct luks *luks = NULL;

  make_luks2 (file, passphrases, 64 * KIB);
  add_token (file, token);
  /* Each value has a bracket and a comma, in two copies of the metadata. */
  nr /= 2;
  edit_luks2 (file, add_values, &nr);
  luks = ready_luks (file);
  nr = BOUND_LUKS2_VALUES / 2;
  edit_luks2 (file, add_values, &nr);
  assert_refused (file, CLEVIS_ERR_LIMIT, "more than 16384 values");
}

/* Digests with which libcryptsetup takes any passphrase. */
static void
set_digest (json_t *json, void *change)
{
  json_object_update (json_object_get (json_object_get (json, "digests"), "0"),
                      change);
}

static void
test_luks2_digest_kinds (void **state)
{
  static const char *const changes[][2] = {
    { "hash", "whirlpool" }, { "hash", "" }, { "type", "other" },
    { "digest", "" }, { "digest", "AAAA" },
  };
  size_t i;

  for (i = 0; i < sizeof changes / sizeof changes[0]; ++i) {
    const char *file = copy_of (plain_luks2 ());
    CLEANUP_JSON json_t *change = json_pack ("{s:s}", changes[i][0],
                                             changes[i][1]);

    edit_luks2 (file, set_digest, change);
    /* libcryptsetup refuses some of them itself. */
    assert_refused (file, CLEVIS_ERR_HEADER, "");
  }
}

/* Costs. */

static void
set_kdf (json_t *json, void *kdf)
{
  json_object_set (keyslot_json (json, "1"), "kdf", kdf);
}

/* Replace the KDF of keyslot 1 and see why it is not tried. */
static void
assert_too_expensive (json_t *kdf, const char *message)
{
  const char *file = copy_of (plain_luks2 ());
  CLEANUP_LUKS struct luks *luks = NULL;

  json_object_set_new (kdf, "salt", json_string (
                         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="));
  edit_luks2 (file, set_kdf, kdf);
  json_decref (kdf);
  luks = ready_luks (file);
  assert_rejects (luks, 1, "second", CLEVIS_ERR_LIMIT, message);
}

static void
test_luks2_pbkdf2_iterations (void **state)
{
  assert_too_expensive (json_pack ("{s:s, s:s, s:I}", "type", "pbkdf2",
                                   "hash", "sha256", "iterations",
                                   (json_int_t) BOUND_PBKDF2_ITERATIONS + 1),
                        "200000001 iterations costs more");
}

static void
test_luks2_argon2_memory (void **state)
{
  assert_too_expensive (json_pack ("{s:s, s:i, s:I, s:i}", "type", "argon2id",
                                   "time", 1, "memory",
                                   (json_int_t) BOUND_ARGON2_MEMORY + 1,
                                   "cpus", 1), "KiB of memory, more than");
}

static void
test_luks2_argon2_passes (void **state)
{
  assert_too_expensive (json_pack ("{s:s, s:I, s:i, s:i}", "type", "argon2i",
                                   "time", (json_int_t) INT32_MAX, "memory",
                                   1024, "cpus", 1), "passes costs more");
}

static void
set_digest_iterations (json_t *json, void *unused)
{
  json_object_set_new (json_object_get (json_object_get (json, "digests"),
                                        "0"),
                       "iterations",
                       json_integer (BOUND_PBKDF2_ITERATIONS + 1));
}

static void
test_luks2_digest_iterations (void **state)
{
  const char *file = copy_of (plain_luks2 ());
  CLEANUP_LUKS struct luks *luks = NULL;

  edit_luks2 (file, set_digest_iterations, NULL);
  luks = ready_luks (file);
  assert_rejects (luks, 1, "second", CLEVIS_ERR_LIMIT, "a digest with");
}

/* LUKS1. */

#define LUKS1_OFFSET(member) offsetof (struct luks1_header, member)

static void
test_luks1_info (void **state)
{
  CLEANUP_LUKS struct luks *luks = ready_luks (plain_luks1 ());
  const struct luks_info *info = luks_info (luks);
  CLEANUP_FREE char *uuid = NULL;

  require_program ("cryptsetup");
  uuid = shell_output ("cryptsetup luksUUID '%s'", plain_luks1 ());
  assert_int_equal (info->version, 1);
  assert_string_equal (info->uuid, uuid);
  assert_string_equal (info->label, "");
  assert_string_equal (info->cipher, "aes-xts-plain64");
  assert_int_equal (info->key_size, 32);
  assert_int_equal (info->sector_size, 512);
  assert_null (info->note);
}

static void
test_luks1_keyslots (void **state)
{
  CLEANUP_LUKS struct luks *luks = ready_luks (plain_luks1 ());
  const struct luks_keyslot *k;
  size_t n;

  k = luks_keyslots (luks, &n);
  assert_int_equal (n, 2);
  assert_int_equal (k[1].slot, 1);
  assert_string_equal (k[1].kdf, "pbkdf2");
  assert_string_equal (k[1].hash, "sha256");
  assert_int_equal (k[1].iterations, 1000);
  assert_string_equal (k[1].cipher, "aes-xts-plain64");
  assert_int_equal (k[1].key_size, 32);
}

static void
test_luks1_without_luksmeta (void **state)
{
  CLEANUP_LUKS struct luks *luks = ready_luks (plain_luks1 ());
  size_t n;

  luks_tokens (luks, &n);
  assert_int_equal (n, 0);
}

static void
test_luks1_token (void **state)
{
  const char *file = copy_of (plain_luks1 ());
  CLEANUP_JSON json_t *jwe = some_jwe (), *text = compact (jwe);
  CLEANUP_LUKS struct luks *luks = NULL;
  const struct luks_token *t;
  size_t n;

  bind_luks (file, 1, jwe);
  luks = ready_luks (file);
  t = luks_tokens (luks, &n);
  assert_int_equal (n, 1);
  assert_int_equal (t[0].id, 1);
  assert_string_equal (t[0].type, "clevis");
  assert_int_equal (t[0].nr_keyslots, 1);
  assert_int_equal (t[0].keyslots[0], 1);
  assert_true (json_equal ((json_t *) t[0].jwe, text));
  assert_null (t[0].json);
  assert_null (t[0].stale);
}

static void
test_luks1_other_luksmeta_slot (void **state)
{
  const char *file = copy_of (plain_luks1 ());
  CLEANUP_LUKS struct luks *luks = NULL;
  const struct luks_token *t;
  size_t n;

  require_program ("luksmeta");
  shell ("luksmeta init -f -d '%s'\necho -n x | luksmeta save -d '%s' -s 0 "
         "-u 01234567-89ab-cdef-0123-456789abcdef", file, file);
  luks = ready_luks (file);
  t = luks_tokens (luks, &n);
  assert_int_equal (n, 1);
  assert_string_equal (t[0].type,
                       "luksmeta-01234567-89ab-cdef-0123-456789abcdef");
  assert_null (t[0].jwe);
}

static void
test_luks1_stale_token (void **state)
{
  const char *file = copy_of (plain_luks1 ());
  CLEANUP_JSON json_t *jwe = some_jwe ();
  CLEANUP_LUKS struct luks *luks = NULL;
  const struct luks_token *t;
  size_t n;

  bind_luks (file, 1, jwe);
  poke (file, LUKS1_OFFSET (keyslots[1].active), "\0\0\xde\xad", 4);
  luks = ready_luks (file);
  t = luks_tokens (luks, &n);
  assert_int_equal (n, 1);
  assert_contains (t[0].stale, "keyslot 1 does not exist");
}

static void
test_luks1_verify (void **state)
{
  CLEANUP_LUKS struct luks *luks = ready_luks (plain_luks1 ());

  assert_accepts (luks, 0, "first");
  assert_accepts (luks, 1, "second");
  assert_rejects (luks, 0, "second", CLEVIS_ERR_PASSPHRASE, "not accept");
  assert_rejects (luks, 1, "first", CLEVIS_ERR_PASSPHRASE, "not accept");
  assert_rejects (luks, 2, "first", CLEVIS_ERR_HEADER, "does not exist");
}

/* Nothing can make the copy larger or smaller, so that an offset of luksmeta
 * outside of it reads nothing.
 */
static void
test_luks1_copy_is_sealed (void **state)
{
  CLEANUP_LUKS struct luks *luks = ready_luks (plain_luks1 ());
  int seals = fcntl (luks->fd, F_GET_SEALS);

  assert_int_equal (seals & (F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL),
                    F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
  assert_int_equal (ftruncate (luks->fd, 1ULL << 30), -1);
  assert_int_equal (ftruncate (luks->fd, 0), -1);
}

/* Big endian. */
static void
poke_u32 (const char *file, uint64_t offset, uint32_t value)
{
  unsigned char be[4] = { value >> 24, value >> 16, value >> 8, value };

  poke (file, offset, be, sizeof be);
}

static void
test_luks1_header_too_large (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *file = copy_of (plain_luks1 ());
  CLEANUP_LUKS struct luks *luks = NULL;
  struct log log;

  poke_u32 (file, LUKS1_OFFSET (payload_offset),
            BOUND_LUKS1_HEADER / LUKS1_SECTOR + 1);
  luks = load_logged (file, 1ULL << 40, SIZE_MAX, &log, &err);
  assert_int_equal (log.state, LUKS_ERROR);
  assert_error (&err, CLEVIS_ERR_LIMIT, "larger than the limit");
  assert_int_equal (log.n, 1);
}

/* A detached header has no payload behind it. */
static void
test_luks1_detached_header (void **state)
{
  const char *file = copy_of (plain_luks1 ());
  CLEANUP_LUKS struct luks *luks = NULL;

  poke_u32 (file, LUKS1_OFFSET (payload_offset), 0);
  luks = ready_luks (file);
  assert_accepts (luks, 1, "second");
}

static void
test_luks1_iterations (void **state)
{
  const char *file = copy_of (plain_luks1 ());
  CLEANUP_LUKS struct luks *luks = NULL;

  poke_u32 (file, LUKS1_OFFSET (keyslots[1].iterations),
            BOUND_PBKDF2_ITERATIONS + 1);
  luks = ready_luks (file);
  assert_rejects (luks, 1, "second", CLEVIS_ERR_LIMIT, "iterations costs");
  assert_accepts (luks, 0, "first");
}

static void
test_luks1_digest_iterations (void **state)
{
  const char *file = copy_of (plain_luks1 ());
  CLEANUP_LUKS struct luks *luks = NULL;

  poke_u32 (file, LUKS1_OFFSET (digest_iterations),
            BOUND_PBKDF2_ITERATIONS + 1);
  luks = ready_luks (file);
  assert_rejects (luks, 1, "second", CLEVIS_ERR_LIMIT, "a digest with");
}

static void
test_luks1_null_cipher (void **state)
{
  const char *file = copy_of (plain_luks1 ());

  poke (file, LUKS1_OFFSET (cipher), "cipher_null\0", 12);
  poke (file, LUKS1_OFFSET (cipher_mode), "ecb\0", 4);
  assert_refused (file, CLEVIS_ERR_HEADER, "encrypts nothing");
}

static void
test_not_luks (void **state)
{
  const char *file = copy_of (plain_luks1 ());

  poke (file, 0, "X", 1);
  assert_none (file);
}

static void
test_unknown_version (void **state)
{
  const char *file = copy_of (plain_luks1 ());

  poke (file, LUKS1_OFFSET (version), "\0\3", 2);
  assert_none (file);
}

static void
test_free_of_null (void **state)
{
  luks_free (NULL);
}

int
main (void)
{
  const struct CMUnitTest luks[] = {
    cmocka_unit_test (test_first_extent),
    cmocka_unit_test (test_luks2_fetches_little),
    cmocka_unit_test (test_luks2_without_binding_fetches_no_keyslot),
    cmocka_unit_test (test_luks1_fetches_up_to_the_payload),
    cmocka_unit_test (test_other_device),
    cmocka_unit_test (test_device_that_is_too_small),
    cmocka_unit_test (test_device_ends_early),
    cmocka_unit_test (test_header_beyond_device),
    cmocka_unit_test (test_error_is_final),
    cmocka_unit_test (test_luks2_info),
    cmocka_unit_test (test_luks2_keyslots),
    cmocka_unit_test (test_luks2_of_cryptsetup),
    cmocka_unit_test (test_luks2_token),
    cmocka_unit_test (test_luks2_tokens_of_other_types),
    cmocka_unit_test (test_luks2_stale_token),
    cmocka_unit_test (test_luks2_verify),
    cmocka_unit_test (test_luks2_unbound_keyslot),
    cmocka_unit_test (test_luks2_key_size_of_another_keyslot),
    cmocka_unit_test (test_luks2_secondary_header),
    cmocka_unit_test (test_luks2_damaged_json),
    cmocka_unit_test (test_luks2_primary_without_json),
    cmocka_unit_test (test_luks2_damaged_checksum),
    cmocka_unit_test (test_luks2_both_headers_damaged),
    cmocka_unit_test (test_truncated),
    cmocka_unit_test (test_luks2_unknown_requirement),
    cmocka_unit_test (test_luks2_being_reencrypted),
    cmocka_unit_test (test_luks2_null_cipher_of_data),
    cmocka_unit_test (test_luks2_null_cipher_of_keyslot),
    cmocka_unit_test (test_luks2_pbkdf2_iterations),
    cmocka_unit_test (test_luks2_argon2_memory),
    cmocka_unit_test (test_luks2_argon2_passes),
    cmocka_unit_test (test_luks2_digest_iterations),
    cmocka_unit_test (test_luks2_digest_kinds),
    cmocka_unit_test (test_luks2_values),
    cmocka_unit_test (test_luks1_info),
    cmocka_unit_test (test_luks1_keyslots),
    cmocka_unit_test (test_luks1_without_luksmeta),
    cmocka_unit_test (test_luks1_token),
    cmocka_unit_test (test_luks1_other_luksmeta_slot),
    cmocka_unit_test (test_luks1_stale_token),
    cmocka_unit_test (test_luks1_verify),
    cmocka_unit_test (test_luks1_copy_is_sealed),
    cmocka_unit_test (test_luks1_header_too_large),
    cmocka_unit_test (test_luks1_detached_header),
    cmocka_unit_test (test_luks1_iterations),
    cmocka_unit_test (test_luks1_digest_iterations),
    cmocka_unit_test (test_luks1_null_cipher),
    cmocka_unit_test (test_not_luks),
    cmocka_unit_test (test_unknown_version),
    cmocka_unit_test (test_free_of_null),
  };

  return run_unit_tests (luks);
}
