/* SPDX-License-Identifier: GPL-2.0-or-later
 * Copyright (C) 2026 The virt-nbde-unlock authors
 *
 * Tests of luks-data.c: what others have encrypted is decrypted to the same
 * bytes.  Others are qemu, for LUKS1, and the reencryption of cryptsetup, for
 * LUKS2: neither of them needs the device mapper.
 */

#include <config.h>

#include "testlib/testlib.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <unistd.h>

#include "base/bounds.h"
#include "luks/luks-data.h"
#include "luks/luks-object.h"
#include "luks/luks1-format.h"
#include "testlib/testlib-jwe.h"
#include "testlib/testlib-luks.h"

/* What is inside, from the first byte on. */
#define INSIDE (BOUND_DECRYPT + 256 * KIB)

static unsigned char inside[INSIDE];

static const char *const passphrases[] = { "one", "two", NULL };

static void
cleanup_luks (struct luks **luks)
{
  luks_free (*luks);
}

#define CLEANUP_LUKS __attribute__ ((cleanup (cleanup_luks)))

/* The same in each run, and in no two sectors. */
static int
setup (void **state)
{
  uint32_t x = 1;
  size_t i;

  for (i = 0; i < INSIDE; ++i) {
    x = x * 1664525 + 1013904223;
    inside[i] = x >> 24;
  }
  write_file (tmp_path ("plain"), inside, INSIDE);
  write_file (tmp_path ("pass"), "one", 3);
  return 0;
}

/* Have qemu write what is inside to a device of LUKS1, from a sector on. */
static void
fill_luks1 (const char *file, uint64_t offset)
{
  shell ("qemu-io --object secret,id=s,file=pass "
         "--image-opts driver=luks,key-secret=s,file.filename='%s' "
         "-c 'write -s plain %llu %llu' >/dev/null", file,
         (unsigned long long) offset, INSIDE);
}

static const char *
luks1_disk (const char *cipher, int bits)
{
  const char *file = tmp_path ("luks1-%s-%d.img", cipher, bits);

  require_program ("cryptsetup");
  require_program ("qemu-io");
  shell ("truncate -s 4M '%s'\n"
         "cryptsetup luksFormat -q --type luks1 -c %s -s %d "
         "--pbkdf-force-iterations 1000 -d pass '%s'", file, cipher, bits,
         file);
  fill_luks1 (file, 0);
  return file;
}

/* Have cryptsetup encrypt what is inside, and bind the device, so that its
 * keyslot is fetched.
 */
static const char *
luks2_disk (const char *cipher, int bits, int sector_size)
{
  const char *file = tmp_path ("luks2-%s-%d-%d.img", cipher, bits,
                               sector_size);
  CLEANUP_JSON json_t *jwe = encrypt_null ("x", 1);

  require_program ("cryptsetup");
  shell ("cp plain '%s'; truncate -s 18M '%s'\n"
         "cryptsetup reencrypt -q --encrypt --type luks2 "
         "--reduce-device-size 16M --sector-size %d -c %s -s %d "
         "--pbkdf pbkdf2 --pbkdf-force-iterations 1000 -d pass '%s'",
         file, file, sector_size, cipher, bits, file);
  bind_luks (file, 0, jwe);
  return file;
}

static void
unlock (struct luks *luks)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SECRET struct secret *passphrase = secret_copy ("one", 3);

  luks_unlock (luks, 0, passphrase, &err);
  assert_no_error (&err);
}

/* What is at an offset of the opened device, decrypted. */
static unsigned char *
decrypt (const struct luks *luks, const char *file, uint64_t offset,
         size_t len, struct clevis_error *err)
{
  CLEANUP_FREE unsigned char *data = malloc (len);
  unsigned char *plain = malloc (len);
  struct luks_data_extent e;
  CLEANUP_CLOSE int fd = open (file, O_RDONLY | O_CLOEXEC);

  luks_data_extent (luks, &e, err);
  assert_no_error (err);
  assert_int_equal (pread (fd, data, len, e.offset + offset), len);
  if (luks_decrypt (luks, offset, data, plain, len, err) == 0)
    return plain;
  free (plain);
  return NULL;
}

/* Decrypted, it is what is inside at another offset, which differs if that of
 * the opened device is not the one that was written to.
 */
static void
assert_inside (const struct luks *luks, const char *file, uint64_t offset,
               size_t len, uint64_t where)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_FREE unsigned char *plain = decrypt (luks, file, offset, len, &err);

  assert_no_error (&err);
  assert_memory_equal (plain, inside + where, len);
}

static void
check_all (const struct luks *luks, const char *file, size_t sector)
{
  assert_inside (luks, file, 0, BOUND_DECRYPT, 0);
  assert_inside (luks, file, INSIDE - BOUND_DECRYPT, BOUND_DECRYPT,
                 INSIDE - BOUND_DECRYPT);
  assert_inside (luks, file, 0, sector, 0);
  assert_inside (luks, file, 7 * sector, sector, 7 * sector);
  assert_inside (luks, file, 5 * sector, 11 * sector, 5 * sector);
}

static const struct {
  const char *cipher;
  int bits;
} luks1_ciphers[] = {
  { "aes-xts-plain64", 256 }, { "aes-xts-plain64", 512 },
  { "aes-xts-plain", 256 }, { "aes-xts-plain", 512 },
  { "aes-cbc-plain64", 128 }, { "aes-cbc-plain64", 256 },
  { "aes-cbc-plain", 128 }, { "aes-cbc-plain", 256 },
  { "aes-cbc-essiv:sha256", 128 }, { "aes-cbc-essiv:sha256", 256 },
};

static void
test_luks1 (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  size_t i;

  for (i = 0; i < sizeof luks1_ciphers / sizeof luks1_ciphers[0]; ++i) {
    const char *file = luks1_disk (luks1_ciphers[i].cipher,
                                   luks1_ciphers[i].bits);
    CLEANUP_LUKS struct luks *luks = ready_luks (file);
    struct luks_data_extent e;

    luks_data_extent (luks, &e, &err);
    assert_no_error (&err);
    assert_int_equal (e.offset, luks_info (luks)->data_offset);
    assert_int_equal (e.offset + e.length, 4 * MIB);
    assert_int_equal (e.sector_size, 512);
    unlock (luks);
    check_all (luks, file, 512);
  }
}

static void
test_luks2 (void **state)
{
  static const struct {
    const char *cipher;
    int bits, sector_size;
  } disks[] = {
    { "aes-xts-plain64", 512, 512 }, { "aes-xts-plain64", 512, 4096 },
    { "aes-xts-plain64", 256, 512 }, { "aes-xts-plain64", 256, 4096 },
    { "aes-xts-plain64", 512, 1024 }, { "aes-xts-plain64", 256, 2048 },
    { "aes-xts-plain", 512, 4096 }, { "aes-cbc-plain64", 256, 4096 },
    { "aes-cbc-essiv:sha256", 256, 512 },
  };
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  size_t i;

  for (i = 0; i < sizeof disks / sizeof disks[0]; ++i) {
    const char *file = luks2_disk (disks[i].cipher, disks[i].bits,
                                   disks[i].sector_size);
    CLEANUP_LUKS struct luks *luks = ready_luks (file);
    struct luks_data_extent e;

    luks_data_extent (luks, &e, &err);
    assert_no_error (&err);
    assert_int_equal (e.offset, 8 * MIB);
    assert_int_equal (e.length, 10 * MIB);
    assert_int_equal (e.sector_size, disks[i].sector_size);
    unlock (luks);
    check_all (luks, file, e.sector_size);
  }
}

/* From two TiB on, plain and plain64 are not the same. */
static void
test_far (void **state)
{
  const uint64_t far = (1ULL << 41) + 3 * 512;
  static const char *const ciphers[] = {
    "aes-xts-plain", "aes-xts-plain64", "aes-cbc-essiv:sha256",
  };
  size_t i;

  for (i = 0; i < sizeof ciphers / sizeof ciphers[0]; ++i) {
    const char *file = luks1_disk (ciphers[i], 256);
    CLEANUP_LUKS struct luks *luks = NULL;

    if (truncate (file, 3ULL << 40) == -1)
      skip_test ("no file can have three TiB here");
    fill_luks1 (file, far);
    luks = ready_luks (file);
    unlock (luks);
    assert_inside (luks, file, far, BOUND_DECRYPT, 0);
    unlink (file);
  }
}

/* A change of the only segment of LUKS2: a member and its new value; a string,
 * unless it is JSON.
 */
struct change {
  const char *name, *value;
};

static void
change_segment (json_t *json, void *opaque)
{
  const struct change *c = opaque;
  json_t *segment = json_object_get (json_object_get (json, "segments"), "0");
  json_t *value = json_loads (c->value, JSON_DECODE_ANY, NULL);

  if (json_is_object (value) || json_is_array (value) ||
      strcmp (c->name, "sector_size") == 0)
    json_object_set (segment, c->name, value);
  else
    json_object_set_new (segment, c->name, json_string (c->value));
  json_decref (value);
}

static void
change (const char *file, const char *name, const char *value)
{
  struct change c = { name, value };

  edit_luks2 (file, change_segment, &c);
}

/* A segment that does not go to the end. */
static void
test_size (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  const char *file = luks2_disk ("aes-xts-plain64", 256, 4096);
  struct luks_data_extent e;
  struct luks *luks;

  change (file, "size", "65536");
  luks = ready_luks (file);
  luks_data_extent (luks, &e, &err);
  assert_no_error (&err);
  assert_int_equal (e.length, 65536);
  unlock (luks);
  assert_inside (luks, file, 61440, 4096, 61440);
  assert_null (decrypt (luks, file, 65536, 4096, &err));
  assert_error (&err, CLEVIS_ERR_LIMIT, "within the data");
  clevis_error_clear (&err);
  luks_free (luks);

  change (file, "size", "10485760"); /* to the last byte */
  luks = ready_luks (file);
  luks_data_extent (luks, &e, &err);
  assert_no_error (&err);
  assert_int_equal (e.length, 10 * MIB);
  luks_free (luks);
  change (file, "size", "10489856");
  luks = ready_luks (file);
  assert_int_equal (luks_data_extent (luks, &e, &err), -1);
  assert_error (&err, CLEVIS_ERR_HEADER, "within the device");
  luks_free (luks);
}

/* A device that does not end with a sector, one that ends where its data begin,
 * and one that ends before.
 */
static void
test_end_of_device (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_LUKS struct luks *luks =
    ready_luks (luks2_disk ("aes-xts-plain64", 256, 4096));
  struct luks_data_extent e;
  uint64_t size;

  luks->size = 8 * MIB + 3 * 4096 + 4095;
  luks_data_extent (luks, &e, &err);
  assert_no_error (&err);
  assert_int_equal (e.length, 3 * 4096);
  for (size = 8 * MIB - 1; size <= 8 * MIB + 1; ++size) {
    luks->size = size;
    assert_int_equal (luks_data_extent (luks, &e, &err), -1);
    assert_error (&err, CLEVIS_ERR_HEADER, "within the device");
    clevis_error_clear (&err);
  }
  luks->size = UINT64_MAX;
  luks_data_extent (luks, &e, &err);
  assert_no_error (&err);
  assert_true (e.length <= UINT64_MAX - e.offset);
  luks->info.data_offset = UINT64_MAX - 511;
  luks->data_size = 4096;
  assert_int_equal (luks_data_extent (luks, &e, &err), -1);
  assert_error (&err, CLEVIS_ERR_HEADER, "within the device");
}

/* What cannot be decided here is so by its code. */
static void
assert_unsupported (struct luks *luks, const char *text)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error again = CLEVIS_ERROR_INIT;
  unsigned char data[512] = { 0 }, plain[512];
  struct luks_data_extent e;

  assert_int_equal (luks_data_extent (luks, &e, &err), -1);
  assert_error (&err, CLEVIS_ERR_UNSUPPORTED, text);
  assert_int_equal (luks_decrypt (luks, 0, data, plain, 512, &again), -1);
  assert_error (&again, CLEVIS_ERR_UNSUPPORTED, text);
}

static void
add_segment (json_t *json, void *opaque)
{
  json_t *segments = json_object_get (json, "segments");
  json_t *first = json_object_get (segments, "0");
  json_t *second = json_deep_copy (first);

  json_object_set_new (first, "size", json_string ("1048576"));
  json_object_set_new (second, "offset", json_string ("9437184"));
  json_object_set_new (second, "iv_tweak", json_string ("2048"));
  json_object_set_new (segments, "1", second);
  json_array_append_new (
    json_object_get (json_object_get (json_object_get (json, "digests"), "0"),
                     "segments"), json_string ("1"));
}

static void
test_unsupported_segments (void **state)
{
  static const struct {
    const char *name, *value, *text;
  } changes[] = {
    { "encryption", "serpent-xts-plain64", "serpent-xts-plain64" },
    { "encryption", "aes-xts-essiv:sha256", "aes-xts-essiv" },
    { "encryption", "aes-xts-plain64be", "plain64be" },
    { "encryption", "aes-cbc-plain64", "with a key of 64 bytes" },
    { "encryption", "capi:xts(aes)-plain64", "capi" },
    { "encryption", "aes-xts-random", "aes-xts-random" },
    { "integrity", "{\"type\":\"hmac(sha256)\",\"journal_encryption\":\"none\","
      "\"journal_integrity\":\"none\"}", "integrity protection" },
    { "iv_tweak", "8", "initial vectors" },
    { "flags", "[\"unheard-of\"]", "unusual kind" },
  };
  const char *file = luks2_disk ("aes-xts-plain64", 512, 512);
  const char *copy = tmp_path ("copy.img");
  size_t i;

  for (i = 0; i < sizeof changes / sizeof changes[0]; ++i) {
    struct luks *luks;

    shell ("cp '%s' '%s'", file, copy);
    change (copy, changes[i].name, changes[i].value);
    luks = ready_luks (copy);
    unlock (luks);
    assert_unsupported (luks, changes[i].text);
    luks_free (luks);
  }
}

static void
test_two_segments (void **state)
{
  const char *file = luks2_disk ("aes-xts-plain64", 512, 512);
  CLEANUP_LUKS struct luks *luks = NULL;

  edit_luks2 (file, add_segment, NULL);
  luks = ready_luks (file);
  assert_unsupported (luks, "more than one segment");
}

/* What libcryptsetup would not load may still come to be loaded by a later
 * one.
 */
static void
test_unsupported_numbers (void **state)
{
  static const int sizes[] = { -1, 0, 1, 256, 513, 768, 8192, 65536 };
  CLEANUP_LUKS struct luks *luks =
    ready_luks (luks2_disk ("aes-xts-plain64", 512, 4096));
  size_t i;

  for (i = 0; i < sizeof sizes / sizeof sizes[0]; ++i) {
    luks->info.sector_size = sizes[i];
    assert_unsupported (luks, "sectors");
  }
  luks->info.sector_size = 4096;
  luks->info.data_offset += 1;
  assert_unsupported (luks, "sectors");
  luks->info.data_offset -= 1;
  luks->data_size = 4096 + 512;
  assert_unsupported (luks, "sectors");
  luks->data_size = 4096;
  for (i = 0; i < 4; ++i) {
    static const int keys[] = { 0, 16, 48, -64 };

    luks->info.key_size = keys[i];
    assert_unsupported (luks, "with a key of");
  }
}

/* A detached header does not say where the data are. */
static void
test_detached (void **state)
{
  const char *file = tmp_path ("detached.img");
  const uint32_t zero = 0;
  CLEANUP_LUKS struct luks *luks = NULL;

  make_luks1 (file, passphrases);
  poke (file, offsetof (struct luks1_header, payload_offset), &zero,
        sizeof zero);
  luks = ready_luks (file);
  assert_unsupported (luks, "detached");
}

/* Pieces that are none. */
static void
test_pieces (void **state)
{
  static const struct {
    uint64_t offset;
    size_t len;
  } bad[] = {
    { 0, 0 }, { 0, 512 }, { 512, 4096 }, { 1, 4096 }, { 0, 4097 },
    { 0, BOUND_DECRYPT + 4096 }, { 10 * MIB, 4096 }, { 10 * MIB - 4096, 8192 },
    { UINT64_MAX - 4095, 4096 }, { UINT64_MAX - 4095, 8192 },
    { 1ULL << 63, 4096 }, { 0, SIZE_MAX - 4095 },
  };
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_LUKS struct luks *luks =
    ready_luks (luks2_disk ("aes-xts-plain64", 512, 4096));
  unsigned char c = 'x';
  size_t i;

  unlock (luks);
  for (i = 0; i < sizeof bad / sizeof bad[0]; ++i) {
    assert_int_equal (luks_decrypt (luks, bad[i].offset, &c, &c, bad[i].len,
                                    &err), -1);
    assert_error (&err, CLEVIS_ERR_LIMIT, "not whole sectors");
    clevis_error_clear (&err);
  }
  assert_int_equal (c, 'x');
}

static void
fail_to_unlock (struct luks *luks, int keyslot, const char *passphrase,
                enum clevis_code code, const char *text)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_ERROR struct clevis_error then = CLEVIS_ERROR_INIT;
  CLEANUP_SECRET struct secret *s = secret_copy (passphrase,
                                                 strlen (passphrase));
  unsigned char data[4096] = { 0 }, plain[4096];

  assert_int_equal (luks_unlock (luks, keyslot, s, &err), -1);
  assert_error (&err, code, text);
  assert_null (luks->volume_key);
  assert_int_equal (luks_decrypt (luks, 0, data, plain, 4096, &then), -1);
  assert_error (&then, CLEVIS_ERR_HEADER, "no keyslot was verified");
}

static void
test_unlock (void **state)
{
  CLEANUP_LUKS struct luks *luks =
    ready_luks (luks2_disk ("aes-xts-plain64", 512, 4096));

  fail_to_unlock (luks, 0, "wrong", CLEVIS_ERR_PASSPHRASE, "does not accept");
  fail_to_unlock (luks, 3, "one", CLEVIS_ERR_HEADER, "does not exist");
  fail_to_unlock (luks, -1, "one", CLEVIS_ERR_HEADER, "does not exist");
  unlock (luks);
  assert_non_null (luks->volume_key);
}

/* A key derivation that is dear is never paid for here, but by who verifies;
 * what that has found is taken.
 */
static void
test_dear (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SECRET struct secret *s = secret_copy ("one", 3);
  const char *file = luks2_disk ("aes-xts-plain64", 512, 4096);
  CLEANUP_LUKS struct luks *luks = NULL;

  shell ("cryptsetup luksConvertKey -q -S 0 -d pass --pbkdf argon2id "
         "--pbkdf-memory 32 --pbkdf-parallel 1 --pbkdf-force-iterations 4 "
         "'%s'", file);
  luks = ready_luks (file);
  fail_to_unlock (luks, 0, "one", CLEVIS_ERR_HEADER,
                  "keyslot 0 was not verified");
  assert_int_equal (luks_verify (luks, 0, s, &err), 0);
  unlock (luks);
  assert_inside (luks, file, 0, BOUND_DECRYPT, 0);
}

/* A cheap keyslot that was verified leaves no volume key, for nobody may come
 * to ask what is inside.
 */
static void
test_not_kept (void **state)
{
  CLEANUP_ERROR struct clevis_error err = CLEVIS_ERROR_INIT;
  CLEANUP_SECRET struct secret *s = secret_copy ("one", 3);
  CLEANUP_LUKS struct luks *luks =
    ready_luks (luks2_disk ("aes-xts-plain64", 512, 4096));

  assert_int_equal (luks_verify (luks, 0, s, &err), 0);
  assert_null (luks->volume_key);
}

/* How often the last bytes of the key are in memory that is not locked.  They
 * are looked for where they are, hidden by a mask, so that none of our own
 * copies is found.
 */
#define TAIL 16
#define MASK 0x5a

static size_t
count_copies (const unsigned char hidden[TAIL])
{
  FILE *fp = fopen ("/proc/self/maps", "re");
  unsigned long start, end;
  char line[512], r, w;
  size_t i, n = 0;

  assert_non_null (fp);
  while (fgets (line, sizeof line, fp)) {
    const volatile unsigned char *p, *last;

    if (sscanf (line, "%lx-%lx %c%c", &start, &end, &r, &w) != 4 ||
        r != 'r' || w != 'w' || secret_has ((void *) start))
      continue;
    last = (unsigned char *) end - TAIL;
    for (p = (unsigned char *) start; p <= last; ++p) {
      for (i = 0; i < TAIL && (p[i] ^ MASK) == hidden[i]; ++i)
        ;
      n += i == TAIL;
    }
  }
  fclose (fp);
  return n;
}

/* Decrypts all the time. */
struct busy {
  const struct luks *luks;
  atomic_bool stop;
  atomic_int rounds;
};

static void *
decrypt_always (void *opaque)
{
  static unsigned char data[BOUND_DECRYPT], plain[BOUND_DECRYPT];
  struct busy *busy = opaque;

  while (!busy->stop) {
    if (luks_decrypt (busy->luks, 0, data, plain, sizeof data, NULL) == -1)
      break;
    busy->rounds++;
  }
  return NULL;
}

/* The key schedules of OpenSSL begin with the key: while they are used, and
 * afterwards, they are nowhere else.
 */
static void
check_no_copies (const char *file)
{
  CLEANUP_LUKS struct luks *luks = ready_luks (file);
  unsigned char hidden[TAIL], *volatile copy;
  struct busy busy = { .luks = luks };
  const struct secret *vk;
  pthread_t thread;
  size_t i, before;
  int rounds;

  unlock (luks);
  vk = luks->volume_key;
  for (i = 0; i < TAIL; ++i)
    hidden[i] = vk->data[vk->len - TAIL + i] ^ MASK;
  before = count_copies (hidden);
  assert_int_equal (pthread_create (&thread, NULL, decrypt_always, &busy), 0);
  for (i = 0; i < 10; ++i) {
    rounds = busy.rounds;
    assert_int_equal (count_copies (hidden), before);
    while (busy.rounds == rounds)
      sched_yield ();
  }
  busy.stop = true;
  pthread_join (thread, NULL);
  assert_int_equal (count_copies (hidden), before);
  /* It would be found. */
  copy = malloc (vk->len);
  memcpy (copy, vk->data, vk->len);
  assert_int_equal (count_copies (hidden), before + 1);
  explicit_bzero (copy, vk->len);
  free (copy);
}

static void
test_no_copies (void **state)
{
  if (time_factor () > 1)
    return;                     /* all memory is not to be looked at there */
  check_no_copies (luks2_disk ("aes-xts-plain64", 512, 4096));
  check_no_copies (luks1_disk ("aes-cbc-essiv:sha256", 256));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup (test_luks1, setup),
    cmocka_unit_test_setup (test_luks2, setup),
    cmocka_unit_test_setup (test_far, setup),
    cmocka_unit_test_setup (test_size, setup),
    cmocka_unit_test_setup (test_end_of_device, setup),
    cmocka_unit_test_setup (test_unsupported_segments, setup),
    cmocka_unit_test_setup (test_two_segments, setup),
    cmocka_unit_test_setup (test_unsupported_numbers, setup),
    cmocka_unit_test_setup (test_detached, setup),
    cmocka_unit_test_setup (test_pieces, setup),
    cmocka_unit_test_setup (test_unlock, setup),
    cmocka_unit_test_setup (test_dear, setup),
    cmocka_unit_test_setup (test_not_kept, setup),
    cmocka_unit_test_setup (test_no_copies, setup),
  };

  return run_unit_tests (tests);
}
